//! One session: its clock, its order, its log, its views.

mod budgeted;
mod dispute;
mod flow;
mod history;
mod joining;
mod ordering;
mod persisting;
mod presence;
mod restore;
mod time;
mod uploading;
mod voting;

use bytes::Bytes;
use teatime_wire::{
    Chain, CloseReason, Digest, Envelope, Holding, Join, Room, ServerMessage, SessionId,
    SnapshotInfo, limits,
};

use crate::budget::{Account, Headroom};
use crate::config::Config;
use crate::gate::{Gate, Gated};
use crate::log::Log;
use crate::outbox::{Outbox, Purpose};
use crate::presences::Presences;
use crate::storage::{Checkpoint, Key, Record, RecordKind, Request, Ticket};
use crate::stored::{self, Ancestor, Head, PersistedRecord};
use crate::view::{Arrival, View};
use crate::views::Views;
use crate::{ConnId, Output, SessionKey};
use flow::{Flow, Reason};
use history::Trust;
use persisting::Persistence;
use time::SessionTime;
use voting::Ballot;

/// Why the reflector closes a connection.
pub(crate) type Refusal = (CloseReason, String);

pub(crate) struct Session {
    key: SessionKey,
    id: SessionId,
    room: Room,
    timeline: u64,
    /// The timeline with which it began.
    first_timeline: u64,
    /// What it began with.
    begun_from: Option<Ancestor>,
    /// Time between ticks in µs.
    tick: u64,
    life: Life,
    content: Content,
    time: SessionTime,
    log: Log,
    account: Account,
    /// How much its memory may still grow.
    headroom: Headroom,
    trust: Trust,
    views: Views,
    /// The head with which it is stored once a participant has done something in it.
    unstored: Option<Bytes>,
    /// The storage has it, or is about to.
    is_on_disk: bool,
    /// What of it is counted as stored, in bytes. `None` when it has just been loaded.
    counted: Option<u64>,
    gate: Gate,
    flow: Flow,
    ballot: Ballot,
    persistence: Persistence,
    presences: Presences,
    /// When the reflector last sent something to all members, on the driver's clock.
    last_broadcast: u64,
    /// When the joins and exits that have gathered go out.
    gathered_at: Option<u64>,
    /// When the connections are next checked for silence.
    next_silence_check: u64,
}

/// Whether clients are connected.
#[derive(Debug)]
enum Life {
    Awake,
    AtRest {
        since: u64,
        /// The blobs to which a loaded snapshot refers, until the store of blobs knows.
        roots: Vec<Digest>,
    },
}

/// What a session would lose if it began from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing that a participant has done.
    Untouched,
    /// An event, or a snapshot.
    Used,
}

/// What every part of a turn needs: the time, the settings, and the place for outputs.
pub(crate) struct Turn<'a> {
    pub(crate) now: u64,
    pub(crate) config: &'a Config,
    pub(crate) out: &'a mut Outbox,
}

impl Session {
    /// A session that begins with this join.
    pub(crate) fn begin(
        turn: &mut Turn<'_>,
        key: SessionKey,
        (timeline, era): (u64, u64),
        join: &Join<'_>,
        persisted: Option<&PersistedRecord>,
    ) -> Self {
        let rate = join
            .ticks_per_second
            .clamp(*limits::TICKS_PER_SECOND.start(), *limits::TICKS_PER_SECOND.end());
        let tick = 1_000_000 / u64::from(rate);
        let head = Head::new(timeline, join.password_key, tick, join.room(), persisted);
        let mut session = Self::new(key, join.session(), &head, turn.config, era);
        session.begin_with(head.persisted.as_ref());
        session.unstored = turn.out.has_storage().then(|| stored::encode(&head));
        session
    }

    /// A participant is about to do something in it: from now on it is stored, with everything so far. Before that it
    /// leaves nothing behind, so that strangers who only join cannot fill a disk.
    fn begin_storing(&mut self, turn: &mut Turn<'_>) {
        let Some(head) = self.unstored.take() else { return };
        (self.is_on_disk, self.counted) = (true, Some(0));
        if self.gate.begin(head) {
            turn.out.gathers(self.key);
        }
        for (bytes, seq) in self.log.frames().zip(1..) {
            self.gate.record(Record { seq, kind: RecordKind::Ordered, bytes: bytes.clone() });
        }
        let soon = self.time.told() + 1;
        self.store_time_ahead(turn, soon);
        self.tell_blobs(turn.out, Holding::Awake(Vec::new()));
    }

    /// Until there is a snapshot, clients that join receive this data in its place.
    fn begin_with(&mut self, persisted: Option<&PersistedRecord>) {
        if let Some(record) = persisted {
            self.log = begun_log(self.id, record);
        }
    }

    fn new(key: SessionKey, id: SessionId, head: &Head, config: &Config, era: u64) -> Self {
        Self {
            key,
            id,
            room: head.room,
            timeline: head.timeline ^ era,
            first_timeline: head.timeline,
            begun_from: head.persisted.as_ref().map(PersistedRecord::as_ancestor),
            tick: head.tick,
            life: Life::Awake,
            content: Content::Untouched,
            time: SessionTime::default(),
            log: Log::starting(Chain::start(id, None)),
            account: Account::default(),
            headroom: Headroom::ENDLESS,
            trust: Trust::default(),
            views: Views::new(config.max_departed),
            unstored: None,
            is_on_disk: false,
            counted: None,
            gate: Gate::default(),
            flow: Flow::default(),
            ballot: Ballot::new(config.snapshot_after_time),
            persistence: Persistence::default(),
            presences: Presences::default(),
            last_broadcast: 0,
            gathered_at: None,
            next_silence_check: 0,
        }
    }

    pub(crate) fn key(&self) -> SessionKey {
        self.key
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Memory of log and snapshot in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.log.memory()
    }

    /// How many clients are connected.
    pub(crate) fn connected(&self) -> usize {
        self.views.connected()
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.views.iter().filter_map(|(_, view)| view.connection())
    }

    /// Whether a participant would miss something of it.
    pub(crate) fn is_used(&self) -> bool {
        self.content == Content::Used
    }

    /// Whether it has no content, and no clients.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_used() && self.connected() == 0
    }

    /// Since when no client is connected.
    pub(crate) fn at_rest_since(&self) -> Option<u64> {
        match self.life {
            Life::Awake => None,
            Life::AtRest { since, .. } => Some(since),
        }
    }

    /// Whether the storage has everything that has happened.
    pub(crate) fn is_stored(&self) -> bool {
        self.gate.is_open()
    }

    /// Whether it is time to look for silent connections. If so, the next time is set.
    pub(crate) fn start_silence_check(&mut self, now: u64, interval: u64) -> bool {
        let is_due = now >= self.next_silence_check;
        if is_due {
            self.next_silence_check = now + interval;
        }
        is_due
    }

    /// Lets something out, or keeps it until everything before it is stored.
    #[inline]
    fn emit(&mut self, out: &mut Outbox, output: Output) {
        if self.gate.is_open() {
            out.push(output);
        } else {
            self.gate.push(Gated::Output(output));
        }
    }

    fn send_to(&mut self, turn: &mut Turn<'_>, connection: ConnId, message: &ServerMessage<'_>) {
        let frame = message.encode().into();
        self.emit(turn.out, Output::Send { connection, frame });
    }

    /// Tells one client something after everything that it was told before.
    pub(crate) fn tell(&mut self, out: &mut Outbox, connection: ConnId, frame: Bytes) {
        self.emit(out, Output::Send { connection, frame });
    }

    /// Tells all members something that is not part of the order.
    pub(crate) fn tell_all(&mut self, out: &mut Outbox, frame: Bytes) {
        self.emit(out, Output::Broadcast { session: self.key, frame });
    }

    /// Closes the connection of a member, after everything that it was told before.
    pub(crate) fn close(&mut self, out: &mut Outbox, connection: ConnId, refusal: Refusal) {
        let (reason, detail) = refusal;
        self.emit(out, Output::Close { connection, reason, detail });
    }

    /// Has something stored. What comes after it waits until it is.
    fn store(&mut self, turn: &mut Turn<'_>, kind: RecordKind, bytes: Bytes) {
        if self.unstored.is_some() {
            return;
        }
        let record = Record { seq: self.log.newest(), kind, bytes };
        if self.gate.record(record) {
            turn.out.gathers(self.key);
        }
    }

    fn store_time(&mut self, turn: &mut Turn<'_>, time: u64) {
        self.store(turn, RecordKind::Time, Bytes::copy_from_slice(&time.to_le_bytes()));
    }

    /// Has a time stored that clients are about to see.
    fn store_time_ahead(&mut self, turn: &mut Turn<'_>, time: u64) {
        if turn.out.has_storage()
            && self.unstored.is_none()
            && let Some(time) = self.time.store_ahead(time)
        {
            self.store_time(turn, time);
        }
    }

    /// Requests the append of what has gathered.
    pub(crate) fn submit(&mut self, now: u64, out: &mut Outbox) {
        if self.gate.is_gathering() {
            let ticket = out.draw_ticket(Purpose::Append(self.key));
            let append = self.gate.submit(self.id, ticket, now);
            out.push(Output::Store { ticket, request: Request::Append(append) });
        }
    }

    /// The storage has acknowledged the append: what depended on it leaves.
    pub(crate) fn acknowledged(&mut self, turn: &mut Turn<'_>) {
        let newest = self.time.newest();
        for gated in self.gate.acknowledge() {
            match gated {
                Gated::Output(output) => turn.out.push(output),
                Gated::Checkpoint(mut checkpoint, previous) => {
                    // It replaces records of times which were handed in after it was made.
                    checkpoint.time = checkpoint.time.max(newest);
                    ask_for_checkpoint(turn.out, self.id, &checkpoint, previous);
                }
                Gated::History(request) => {
                    turn.out.ask(request, Purpose::History(self.id));
                }
            }
        }
        if self.gate.is_gathering() {
            turn.out.gathers(self.key);
        }
        if self.flow.is_held_by(Reason::StorageSlow)
            && self.gate.gathered() <= turn.config.storage_backlog_bytes
            && self.flow.free(Reason::StorageSlow)
        {
            self.tell_hold(turn, teatime_wire::Hold::Resume);
        }
    }

    /// When the append under way has taken too long.
    pub(crate) fn storage_deadline(&self, config: &Config) -> Option<u64> {
        self.gate.deadline(config.storage_timeout)
    }

    /// The session cannot go on, because something of it was not stored. Returns the append under way. Members are
    /// closed with this reason; nothing that depends on the append leaves.
    pub(crate) fn abort(&mut self, out: &mut Outbox, refusal: &Refusal) -> Option<Ticket> {
        let ticket = self.gate.ticket();
        let gated = self.gate.abandon();
        let members: Vec<_> = self.connections().collect();
        for connection in members {
            let (reason, detail) = refusal.clone();
            out.push(Output::Close { connection, reason, detail });
        }
        for gated in gated {
            // These connections have left, and have not heard that what they sent was stored.
            if let Gated::Output(close @ Output::Close { .. }) = gated {
                out.push(close);
            }
        }
        if self.at_rest_since().is_none() {
            self.tell_blobs(out, Holding::AtRest);
        }
        ticket
    }

    /// A view's connection is gone, for good if it has said so.
    pub(crate) fn disconnected(&mut self, turn: &mut Turn<'_>, arrival: Arrival, left: bool) {
        let announced = self.views.get(arrival).and_then(View::leave_at);
        let exit_at = match announced {
            _ if left => turn.now,
            Some(leave_at) => leave_at,
            None => turn.now + turn.config.rejoin_limit,
        };
        self.views.disconnect(arrival, exit_at);
        self.gone_from_ballot(turn, arrival);
        if self.views.connected() == 0 {
            self.rest(turn);
        } else {
            self.conclude_vote(turn);
            self.gather(turn);
        }
    }

    /// A view leaves in `pause`, connected or not, unless it joins again.
    pub(crate) fn leave_after(&mut self, turn: &Turn<'_>, arrival: Arrival, pause: u64) {
        let leave_at = turn.now + pause.min(turn.config.max_leave_after);
        self.views.set_leave_at(arrival, leave_at);
    }

    /// Counts a frame that was read from a view.
    pub(crate) fn spend(&mut self, now: u64, config: &Config, arrival: Arrival, bytes: u64) {
        if let Some(view) = self.views.get_mut(arrival) {
            view.spend(now, &config.view_allowance(), bytes);
        }
    }

    /// When the driver may read more from a view.
    pub(crate) fn may_read_at(&self, config: &Config, arrival: Arrival) -> u64 {
        self.views.get(arrival).map_or(0, |view| view.may_read_at(&config.view_allowance()))
    }

    /// The connections of views that have said that they leave by now.
    pub(crate) fn leaving(&self, now: u64) -> Vec<ConnId> {
        self.views.leaving(now)
    }

    /// The last client has left: the clock stands still.
    fn rest(&mut self, turn: &mut Turn<'_>) {
        // A participant that has left is gone, also after a restart of the reflector.
        self.tell_changes(turn);
        let told = self.time.stop(turn.now);
        if turn.out.has_storage() {
            self.store_time(turn, told);
        }
        self.life = Life::AtRest { since: turn.now, roots: Vec::new() };
        self.tell_blobs(turn.out, Holding::AtRest);
        self.gathered_at = None;
        self.ballot.rest();
        self.persistence.rest();
        // Clients that come back show theirs again. Until then they would only take memory.
        self.presences = Presences::default();
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        if self.views.connected() == 0 {
            return;
        }
        self.votes_are_due(turn);
        if self.has_headroom_again(turn.config) && self.flow.free(Reason::LogFull) {
            self.tell_hold(turn, teatime_wire::Hold::Resume);
        }
        if self.flow.is_held_by(Reason::LogFull) {
            self.log_has_grown(turn);
        }
        self.gather(turn);
        if self.gathered_at.is_some_and(|at| turn.now >= at) {
            self.gathered_at = None;
            self.tell_changes(turn);
        }
        self.tell_presences(turn);
        if turn.now >= self.last_broadcast + self.tick {
            let told = self.time.tell(turn.now);
            self.store_time_ahead(turn, told);
            self.broadcast(turn, ServerMessage::Tick(told).encode().into());
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, or the storage has taken too long.
    pub(crate) fn next_timeout(&self, config: &Config) -> Option<u64> {
        let storage = self.storage_deadline(config);
        if self.views.connected() == 0 {
            return storage;
        }
        let tick = self.last_broadcast + self.tick;
        let exit = self.views.next_exit().filter(|_| self.gathered_at.is_none());
        let others = [
            storage,
            self.gathered_at,
            self.presences.due(),
            self.ballot.next_timeout(),
            self.persist_vote_at(),
            exit,
            self.views.next_leave(),
            Some(self.next_silence_check),
        ];
        others.into_iter().flatten().chain([tick]).min()
    }

    /// Tells the store of blobs about this session. One in which nothing has happened needs none.
    fn tell_blobs(&self, out: &mut Outbox, holding: Holding) {
        if self.unstored.is_none() {
            out.push(self.holds(holding));
        }
    }

    /// What the store of blobs learns about this session.
    pub(crate) fn holds(&self, holding: Holding) -> Output {
        Output::References { holder: Key::Session(self.id), room: self.room.id, holding }
    }

    /// The blobs of its room to which a snapshot refers. `None` if the snapshot names another room.
    fn own_roots(&self, envelope: &Envelope) -> Option<Vec<Digest>> {
        (envelope.space == self.room.id).then(|| envelope.roots.clone())
    }
}

/// The log of a session that begins with this data.
fn begun_log(session: SessionId, record: &PersistedRecord) -> Log {
    let (hash, size) = (record.hash(), record.data.len() as u64);
    let chain = Chain::start(session, Some(hash)).value();
    let info = SnapshotInfo { seq: 0, time: 0, hash, size, chain };
    let parts: Vec<_> = record.data.chunks(limits::MAX_SNAPSHOT_PART).collect();
    Log::begun_with(record.version, info, &parts)
}

/// Requests that a checkpoint replaces what it stands for.
fn ask_for_checkpoint(
    out: &mut Outbox,
    session: SessionId,
    checkpoint: &crate::stored::SessionCheckpoint,
    previous: Option<u64>,
) {
    let (seq, bytes) = (checkpoint.info.seq, stored::encode(checkpoint));
    let checkpoint = Checkpoint { seq, bytes };
    let request = Request::Checkpoint { session, checkpoint, previous };
    out.ask(request, Purpose::Checkpoint(session));
}
