//! One session: its clock, its order, its log, its views.

mod voting;

use std::collections::VecDeque;

use bytes::Bytes;
use serde_bytes::ByteBuf;
use teatime_wire::{
    CloseReason, Digest, Event, Hold, Holding, Join, PersistedPart, Room, Send, ServerMessage,
    SessionId, SnapshotInfo, Trailer, Views as ViewsMessage, Welcome, limits,
};

use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{self, Head, Journal, Told};
use crate::log::{Log, PER_MESSAGE};
use crate::rooms::{Kept, Origin};
use crate::old::{RecordKind, StorageError, Stored};
use crate::upload::Upload;
use crate::views::{Arrival, Change, Views};
use crate::vote::Vote;
use crate::{ConnId, Output, SessionKey};

/// Why a connection is to be closed.
pub(crate) type Refusal = (CloseReason, String);

pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) id: SessionId,
    pub(crate) room: Room,
    timeline: u64,
    /// The one with which it began.
    first_timeline: u64,
    /// Of the first client; whoever comes later must have the same.
    password_proof: Option<Digest>,
    /// Time between ticks in µs.
    tick: u64,
    clock: Clock,
    /// The newest time that was told: none before it may be told any more.
    told: u64,
    /// Up to when it is stored that it may have been told.
    stored: Told,
    /// When something was last sent to everybody, on the driver's clock.
    last_broadcast: u64,
    pub(crate) log: Log,
    pub(crate) views: Views,
    /// When the joins and exits that have gathered are told.
    gathered_at: Option<u64>,
    vote: Option<Vote>,
    upload: Option<Upload>,
    /// Who diverged, and at which vote: told once the snapshot that is on its way is there.
    diverged: Option<(u64, Vec<Arrival>)>,
    /// Not before this time does a vote that is not unanimous cost those who are right something.
    next_healing: u64,
    /// Not before this time is the next vote held by itself, or asked for.
    next_own_vote: u64,
    next_asked_vote: u64,
    /// On the clock of the session: when the next vote is held because it has gone on for long.
    next_regular_vote: u64,
    vote_asked: bool,
    held: bool,
    /// When connections are next looked at for silence.
    pub(crate) next_silence_check: u64,
    /// Since when nobody is connected.
    pub(crate) idle_since: Option<u64>,
    /// The blobs to which the snapshot refers that was loaded from a storage, until that is told.
    loaded_roots: Vec<Digest>,
    /// As long as there is no snapshot: the version of the app that has persisted what the session began with, which
    /// stands in its place in the log.
    begun_with: Option<u32>,
    /// Somebody has sent something, or there is a snapshot: it has a state that somebody could miss.
    pub(crate) is_used: bool,
    /// Clients ask for a snapshot because of what is persisted.
    persist_wanted: bool,
    /// What was persisted last could not be kept.
    keep_failed: bool,
    /// What is persisted in it and, if that is another thing, what it began with, as they were loaded from a
    /// storage, until somebody is in it.
    pub(crate) loaded: Option<(Kept, Option<(u32, ByteBuf)>)>,
    /// Not before this time is a vote held for that.
    next_persist: u64,
    /// How many such votes in a row came to nothing.
    persist_failures: u32,
    /// What was persisted at the newest snapshot, until it is on its way to where that is kept.
    pub(crate) to_keep: Option<Kept>,
}

/// What the parts of a turn need: when it is, how things are set, and where it says what to do.
pub(crate) struct Turn<'a> {
    pub(crate) now: u64,
    pub(crate) config: &'a Config,
    pub(crate) out: &'a mut VecDeque<Output>,
    pub(crate) journal: &'a mut Journal,
}

impl Session {
    /// A session that begins with this join.
    pub(crate) fn begin(
        key: SessionKey,
        timeline: u64,
        join: &Join<'_>,
        persisted: Option<&Kept>,
        config: &Config,
        journal: &mut Journal,
    ) -> Self {
        let rate = join
            .ticks_per_second
            .clamp(*limits::TICKS_PER_SECOND.start(), *limits::TICKS_PER_SECOND.end());
        let tick = 1_000_000 / u64::from(rate);
        let head = Head::new(timeline, join.password_proof, tick, join.room, persisted);
        journal.begin(key, join.session, &head);
        let mut session = Self::new(key, join.session, &head, config, journal);
        session.begin_with(head.persisted.as_ref());
        session
    }

    /// Whoever joins before there is a snapshot gets this in its place.
    fn begin_with(&mut self, persisted: Option<&(u32, ByteBuf)>) {
        let Some((version, data)) = persisted else { return };
        let hash = Digest(*blake3::hash(data).as_bytes());
        let info = SnapshotInfo { seq: 0, time: 0, hash, size: data.len() as u64 };
        let parts: Vec<_> = data.chunks(limits::MAX_SNAPSHOT_PART).collect();
        self.log = Log::after_snapshot(info, &parts);
        self.begun_with = Some(*version);
    }

    fn new(
        key: SessionKey,
        id: SessionId,
        head: &Head,
        config: &Config,
        journal: &Journal,
    ) -> Self {
        Self {
            key,
            id,
            room: head.room,
            timeline: journal.timeline(head),
            first_timeline: head.timeline,
            password_proof: head.password_proof,
            tick: head.tick,
            clock: Clock::default(),
            told: 0,
            stored: Told::default(),
            last_broadcast: 0,
            log: Log::default(),
            views: Views::new(config.max_departed),
            gathered_at: None,
            vote: None,
            upload: None,
            diverged: None,
            next_healing: 0,
            next_own_vote: 0,
            next_asked_vote: 0,
            next_regular_vote: config.snapshot_after_time,
            vote_asked: false,
            held: false,
            next_silence_check: 0,
            idle_since: None,
            loaded_roots: Vec::new(),
            begun_with: None,
            is_used: false,
            persist_wanted: false,
            keep_failed: false,
            loaded: None,
            next_persist: 0,
            persist_failures: 0,
            to_keep: None,
        }
    }

    /// A session as it was stored: nobody is connected, and it goes on at its time and its sequence
    /// number when somebody is. Who was there has until the rejoin limit to come back.
    pub(crate) fn restore(
        key: SessionKey,
        id: SessionId,
        stored: Stored,
        now: u64,
        config: &Config,
        journal: &Journal,
    ) -> Result<Self, StorageError> {
        let head = journal::read_head(&stored.head)?;
        let mut session = Self::new(key, id, &head, config, journal);
        let (mut views_from, mut time) = (0, 0);
        if let Some((_, bytes)) = &stored.checkpoint {
            let checkpoint = journal::read_checkpoint(bytes)?;
            views_from = checkpoint.newest;
            session.told = checkpoint.time;
            let (_, trailer) = Trailer::split(&checkpoint.parts).unwrap_or_default();
            session.loaded_roots = session.own_roots(trailer.as_ref()).unwrap_or_default();
            let persisted = trailer.and_then(|trailer| trailer.persisted);
            let persisted = persisted.map(|part| session.kept(checkpoint.info.seq, part));
            session.loaded = persisted.map(|own| (own, head.persisted));
            session.log = Log::after_snapshot(checkpoint.info, &checkpoint.parts);
            session.check_position()?;
            session.is_used = true;
            session.next_regular_vote =
                checkpoint.info.time.saturating_add(config.snapshot_after_time);
            session.views.restore(checkpoint.views, checkpoint.departed);
        } else {
            session.begin_with(head.persisted.as_ref());
            let (roots, from) = (head.roots, Origin::default());
            let begun_with = head.persisted;
            session.loaded =
                begun_with.map(|(version, data)| (Kept { version, data, roots, from }, None));
        }
        for record in stored.records {
            match record.kind {
                RecordKind::Time => {
                    time = journal::read_time(&record.bytes)?;
                }
                RecordKind::Ordered => {
                    let message = journal::read_ordered(&record.bytes)?;
                    session.restore_ordered(record.seq, &message, record.seq > views_from)?;
                    session.log.push(record.bytes.clone());
                }
            }
        }
        session.told = session.told.max(time);
        session.check_position()?;
        session.held = session.log.bytes() >= config.log_limit_bytes;
        session.clock = Clock::at(session.told);
        session.idle_since = Some(now);
        session.views.all_exit_at(now + config.rejoin_limit);
        Ok(session)
    }

    /// What was persisted at a vote, as it is kept.
    fn kept(&self, seq: u64, part: PersistedPart) -> Kept {
        let (version, from) = (self.room.version, (self.first_timeline, seq));
        Kept { version, data: part.data.into(), roots: part.roots, from }
    }

    /// The number of the vote from which something comes that is kept, if it is one of this session.
    pub(crate) fn own_vote(&self, from: Origin) -> Option<u64> {
        (from.0 == self.first_timeline && from.1 > 0).then_some(from.1)
    }

    /// Files may come from anywhere; nothing that is counted on from here shall overflow.
    fn check_position(&self) -> Result<(), StorageError> {
        match self.told.max(self.log.newest()) {
            0..=limits::MAX_TIME_OR_SEQ => Ok(()),
            _ => Err(journal::wrong("session", "no session reaches its time or its number")),
        }
    }

    /// What an ordered message has changed besides the log.
    fn restore_ordered(
        &mut self,
        seq: u64,
        message: &ServerMessage<'_>,
        changes_views: bool,
    ) -> Result<(), StorageError> {
        let (at, time) = match message {
            ServerMessage::Event(event) => {
                self.is_used = true;
                if changes_views {
                    self.views.restore_counter(event.sender, event.counter);
                }
                (event.seq, event.time)
            }
            ServerMessage::Views(views) => {
                if changes_views {
                    let exited = views.exited.iter().map(|view| view.view_id);
                    let joined = views.joined.iter().map(|view| (view.view_id, view.view_data));
                    self.views.restore_changes(exited, joined);
                }
                (views.seq, views.time)
            }
            ServerMessage::VoteRequest(vote) => (vote.seq, vote.time),
            _ => return Err(journal::wrong("message", "not an ordered one")),
        };
        if at != seq || at != self.log.newest() + 1 {
            let why = format!("number {at} after {}", self.log.newest());
            return Err(journal::wrong("message", &why));
        }
        self.told = self.told.max(time);
        Ok(())
    }

    /// Lets a connection in, or says why not. Returns its view, and the connection that it
    /// replaces.
    pub(crate) fn join(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnId,
        join: &Join<'_>,
    ) -> Result<(Arrival, Option<ConnId>), Refusal> {
        self.check_room(join)?;
        if join.password_proof != self.password_proof {
            let detail = match (self.password_proof, join.password_proof) {
                (Some(_), None) => "this session has a password",
                (None, Some(_)) => "this session has no password",
                _ => "",
            };
            return Err((CloseReason::WrongPassword, detail.into()));
        }
        let id = join.view_id();
        if self.views.find(id).is_some_and(|view| view.attempt >= join.attempt) {
            let detail = "the view has made another connection since";
            return Err((CloseReason::Replaced, detail.into()));
        }
        if self.views.find(id).is_none() {
            if self.views.len() >= turn.config.max_views {
                return Err((CloseReason::Full, "the session is full".into()));
            }
            // Its join and its exit would go to the log. Alone it may be the one that makes room.
            if self.views.connected() > 0 && is_brimful(&self.log, turn.config) {
                return Err((CloseReason::Full, "the log of the session is full".into()));
            }
        }
        if self.views.connected() == 0 {
            self.wake(turn);
        }
        let seamless = self.views.find(id).is_some_and(|view| view.announced);
        let data = join.view_data.map(Bytes::copy_from_slice);
        let (arrival, replaced) = self.views.connect(turn.now, id, data, connection);
        if let Some(view) = self.views.get_mut(arrival) {
            view.attempt = join.attempt;
        }
        let resume = join.resume.filter(|resume| {
            resume.timeline == self.timeline && self.log.reaches_back_to(resume.seq)
        });
        self.welcome(turn, connection, arrival, resume.map(|resume| resume.seq), seamless);
        turn.out.push_back(Output::Enter { connection, session: self.key });
        self.gather(turn);
        Ok((arrival, replaced))
    }

    /// Who knows the password of a session is in its room.
    pub(crate) fn check_room(&self, join: &Join<'_>) -> Result<(), Refusal> {
        // A wrong password leads to another room of the same name, and is told as such.
        let is_wrong_password = join.password_proof != self.password_proof;
        if join.room.name != self.room.name || (join.room != self.room && !is_wrong_password) {
            let detail = "a session of another room, or of another version of the app";
            return Err((CloseReason::OutOfOrder, detail.into()));
        }
        Ok(())
    }

    /// Nothing has happened in it, and nobody is there.
    pub(crate) fn has_nothing(&self) -> bool {
        !self.is_used && self.views.connected() == 0
    }

    /// Whether, if it has nothing, it shall rather begin anew than let this join in: it is in another room, or has
    /// begun with something older than what there is now.
    pub(crate) fn begins_anew(&self, join: &Join<'_>, kept: Option<&Kept>) -> bool {
        if (join.room, join.password_proof) != (self.room, self.password_proof) {
            return true;
        }
        let begun = self.begun_with.zip(self.log.snapshot().map(|(info, _)| info.hash));
        kept.is_some_and(|kept| {
            let hash = || Digest(*blake3::hash(&kept.data).as_bytes());
            begun.is_none_or(|(version, own)| version <= kept.version && own != hash())
        })
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        // Its time will be told from now on. And if nothing can be stored nobody is let in.
        let (seq, soon) = (self.log.newest(), self.told + 1);
        turn.journal.time(self.key, self.id, seq, soon, &mut self.stored);
        self.views.cold_start(now);
        self.clock.start(now);
        self.idle_since = None;
        let roots = std::mem::take(&mut self.loaded_roots);
        turn.out.push_back(self.holds(Holding::Awake(roots)));
        self.last_broadcast = now;
        // Whoever is not back yet has not been told so since the clock stood still.
        self.next_silence_check = now;
    }

    /// Sends what a joiner needs: the welcome, the snapshot, the log.
    fn welcome(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnId,
        arrival: Arrival,
        resume: Option<u64>,
        seamless: bool,
    ) {
        let Some(view) = self.views.get_mut(arrival) else { return };
        let (view_id, counter) = (view.id, view.counter);
        let snapshot = if resume.is_none() { self.log.snapshot() } else { None };
        let welcome = Welcome {
            timeline: self.timeline,
            view_id,
            resumed: resume.is_some(),
            seamless,
            time: self.told,
            seq: self.log.newest(),
            counter,
            snapshot: snapshot.map(|(info, _)| *info),
            persisted: snapshot.and(self.begun_with),
            tick_ms: u32::try_from(self.tick / 1_000).unwrap_or(u32::MAX),
            rejoin_limit_ms: u32::try_from(turn.config.rejoin_limit / 1_000).unwrap_or(u32::MAX),
            limits: turn.config.send_limits,
        };
        let from = resume.or(snapshot.map(|(info, _)| info.seq)).unwrap_or(0);
        let head = Bytes::from(ServerMessage::Welcome(welcome).encode());
        let parts = snapshot.into_iter().flat_map(|(_, parts)| parts.iter().cloned());
        // As soon as the client can run, so that it does not send what waits with it.
        let pause = self.held.then(|| ServerMessage::Hold(Hold::Pause).encode().into());
        let frames = [head].into_iter().chain(parts).chain(pause).chain(self.log.after(from));
        turn.out.extend(frames.map(|frame| Output::Send { connection, frame }));
    }

    /// Orders what a view sends.
    pub(crate) fn send(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival,
        send: &Send<'_>,
    ) -> Result<(), Refusal> {
        let limits = &turn.config.send_limits;
        let Some(view) = self.views.get_mut(arrival) else { return Ok(()) };
        if send.counter <= view.counter {
            return Ok(());
        }
        // It may have sent more to a reflector that is gone, and has forgotten what came back.
        if send.counter != view.counter + 1 && view.has_sent {
            let detail = format!("send {} came after send {}", send.counter, view.counter);
            return Err((CloseReason::OutOfOrder, detail));
        }
        if send.payload.len() > limits.max_payload as usize {
            let detail = format!("a payload of {} bytes", send.payload.len());
            return Err((CloseReason::TooLarge, detail));
        }
        if !view.bucket.take(turn.now, limits, turn.config.stall_tolerance) {
            let detail = format!("more than {} events per second", limits.per_second);
            return Err((CloseReason::TooFast, detail));
        }
        if self.held {
            let bytes = view.held_bytes + send.payload.len() as u64 + PER_MESSAGE;
            if bytes > turn.config.held_bytes_per_view {
                return Err((CloseReason::TooFast, "sent on although told to pause".into()));
            }
            if is_brimful(&self.log, turn.config) {
                return Err((CloseReason::Full, "the log of the session is full".into()));
            }
            view.held_bytes = bytes;
        }
        view.counter = send.counter;
        view.has_sent = true;
        self.is_used = true;
        let sender = view.id;
        let (counter, payload) = (send.counter, send.payload);
        let (seq, time) = self.next_position(turn.now);
        let event = Event { seq, time, sender, counter, payload };
        self.order(turn, &ServerMessage::Event(event));
        Ok(())
    }

    /// The position of the next ordered message.
    fn next_position(&mut self, now: u64) -> (u64, u64) {
        self.told = self.told.max(self.clock.time(now));
        (self.log.newest() + 1, self.told)
    }

    /// Logs an ordered message and sends it to everybody.
    fn order(&mut self, turn: &mut Turn<'_>, message: &ServerMessage<'_>) {
        let frame = Bytes::from(message.encode());
        self.log.push(frame.clone());
        turn.journal.ordered(self.key, self.id, self.log.newest(), &frame);
        self.broadcast(turn, frame);
        let Config { snapshot_after_bytes, log_limit_bytes, .. } = turn.config;
        if self.log.events() >= turn.config.snapshot_after_events
            || self.log.bytes() >= *snapshot_after_bytes.min(log_limit_bytes)
        {
            self.log_has_grown(turn);
        }
    }

    fn broadcast(&mut self, turn: &mut Turn<'_>, frame: Bytes) {
        self.last_broadcast = turn.now;
        turn.out.push_back(Output::Broadcast { session: self.key, frame });
    }

    /// A view's connection is gone, for good if it has said so.
    pub(crate) fn disconnected(&mut self, turn: &mut Turn<'_>, arrival: Arrival, left: bool) {
        let exit_at = if left { turn.now } else { turn.now + turn.config.rejoin_limit };
        self.views.disconnect(arrival, exit_at);
        if let Some(vote) = &mut self.vote {
            vote.gone(arrival);
        }
        if self.upload.as_ref().is_some_and(|upload| upload.from == arrival) {
            self.give_up_uploader(turn);
        }
        if self.views.connected() == 0 {
            self.fall_asleep(turn);
        } else {
            self.conclude_vote(turn);
            self.gather(turn);
        }
    }

    /// Nobody is here any more: the clock stands still, and nothing is told to nobody.
    fn fall_asleep(&mut self, turn: &mut Turn<'_>) {
        self.told = self.told.max(self.clock.time(turn.now));
        self.clock.stop(turn.now);
        self.idle_since = Some(turn.now);
        let (seq, told) = (self.log.newest(), self.told);
        turn.journal.exact_time(self.key, self.id, seq, told, &mut self.stored);
        turn.out.push_back(self.holds(Holding::AtRest));
        self.gathered_at = None;
        self.vote = None;
        self.upload = None;
        self.diverged = None;
        self.vote_asked = false;
        // Whoever comes next takes what is in the snapshot for kept, and does not ask.
        self.persist_wanted = self.keep_failed;
    }

    /// If there are joins or exits to tell, they are told after the window that begins now, unless
    /// one has begun already.
    fn gather(&mut self, turn: &Turn<'_>) {
        if self.gathered_at.is_none() && self.views.has_changes(turn.now) {
            self.gathered_at = Some(turn.now + turn.config.gather_window);
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        if self.views.connected() == 0 {
            return;
        }
        self.conclude_vote(turn);
        self.hold_asked_vote(turn);
        self.hold_regular_vote(turn);
        if self.upload.as_ref().is_some_and(|upload| turn.now >= upload.deadline) {
            self.give_up_uploader(turn);
        }
        if self.held {
            self.log_has_grown(turn);
        }
        self.gather(turn);
        if self.gathered_at.is_some_and(|at| turn.now >= at) {
            self.gathered_at = None;
            self.tell_changes(turn);
        }
        if turn.now >= self.last_broadcast + self.tick {
            self.told = self.told.max(self.clock.time(turn.now));
            let (seq, told) = (self.log.newest(), self.told);
            turn.journal.time(self.key, self.id, seq, told, &mut self.stored);
            self.broadcast(turn, ServerMessage::Tick(self.told).encode().into());
        }
    }

    fn tell_changes(&mut self, turn: &mut Turn<'_>) {
        loop {
            let most = limits::MAX_VIEWS_PER_MESSAGE;
            let (exited, joined) = self.views.take_changes(turn.now, most);
            if exited.is_empty() && joined.is_empty() {
                return;
            }
            let (seq, time) = self.next_position(turn.now);
            let active = u32::try_from(self.views.announced()).unwrap_or(u32::MAX);
            let message = ViewsMessage {
                seq,
                time,
                exited: exited.iter().map(entry).collect(),
                joined: joined.iter().map(entry).collect(),
                active,
            };
            self.order(turn, &ServerMessage::Views(message));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; none while nobody is
    /// connected.
    pub(crate) fn next_timeout(&self) -> Option<u64> {
        if self.views.connected() == 0 {
            return None;
        }
        let tick = self.last_broadcast + self.tick;
        let asked_vote = self.vote_asked.then_some(self.next_asked_vote);
        let others = [
            self.gathered_at,
            self.vote.as_ref().map(|vote| vote.deadline),
            self.upload.as_ref().map(|upload| upload.deadline),
            asked_vote.filter(|_| self.vote.is_none()),
            self.persist_vote_at(),
            self.views.next_exit().filter(|_| self.gathered_at.is_none()),
            Some(self.next_silence_check),
        ];
        others.into_iter().flatten().chain([tick]).min()
    }
}

/// Whether even what is kept for those who have not heard that they should pause is used up.
fn is_brimful(log: &Log, config: &Config) -> bool {
    log.bytes() > config.log_limit_bytes + config.log_reserve_bytes
}

fn entry(change: &Change) -> teatime_wire::View<'_> {
    teatime_wire::View { view_id: change.0, view_data: change.1.as_deref() }
}
