//! How clients come into a session.

use bytes::Bytes;
use teatime_wire::{CloseReason, Digest, Hold, Holding, Join, ServerMessage, Welcome};

use super::ordering::is_brimful;
use super::{Life, Refusal, Session, Turn};
use crate::stored::PersistedRecord;
use crate::view::View;
use crate::views::Arrival;
use crate::{ConnId, Output};

impl Session {
    /// Lets a connection in, or says why not. Returns its view, and the connection that it replaces.
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
        if self.views.find(id).is_some_and(|view| view.attempt() >= join.attempt) {
            let detail = "the view has made another connection since";
            return Err((CloseReason::Replaced, detail.into()));
        }
        if self.views.find(id).is_none() {
            if self.views.len() >= turn.config.max_views {
                return Err((CloseReason::Full, "the session is full".into()));
            }
            // Its join and its exit would go to the log. A lone client may be the one that makes room.
            if self.views.connected() > 0 && is_brimful(&self.log, turn.config) {
                return Err((CloseReason::Full, "the log of the session is full".into()));
            }
        }
        if self.views.connected() == 0 {
            self.wake(turn);
        }
        let seamless = self.views.find(id).is_some_and(View::is_announced);
        let data = join.view_data.map(Bytes::copy_from_slice);
        let line = (connection, join.attempt);
        let (arrival, replaced) = self.views.connect(turn.now, id, data, line);
        let resume = join.resume.filter(|resume| {
            resume.timeline == self.timeline && self.log.reaches_back_to(resume.seq)
        });
        self.welcome(turn, connection, arrival, resume.map(|resume| resume.seq), seamless);
        self.emit(turn.out, Output::Enter { connection, session: self.key });
        self.gather(turn);
        Ok((arrival, replaced))
    }

    /// A client that knows the password of a session is in its room.
    pub(crate) fn check_room(&self, join: &Join<'_>) -> Result<(), Refusal> {
        // A wrong password leads to another room of the same name. That is refused as a wrong password.
        let is_wrong_password = join.password_proof != self.password_proof;
        if join.room.name != self.room.name || (join.room != self.room && !is_wrong_password) {
            let detail = "a session of another room, or of another version of the app";
            return Err((CloseReason::OutOfOrder, detail.into()));
        }
        Ok(())
    }

    /// Whether a new session should take the place of this one, if this one is empty: the client is in another room,
    /// or the room has newer persisted data than this session began with.
    pub(crate) fn is_outdated(&self, join: &Join<'_>, persisted: Option<&PersistedRecord>) -> bool {
        if (join.room, join.password_proof) != (self.room, self.password_proof) {
            return true;
        }
        let begun = self.log.begun_by().zip(self.log.snapshot().map(|(info, _)| info.hash));
        persisted.is_some_and(|record| {
            let hash = || Digest(*blake3::hash(&record.data).as_bytes());
            begun.is_none_or(|(version, own)| version <= record.version && own != hash())
        })
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        // Clients will see its time from now on. And a client only comes in if something can be stored.
        let soon = self.time.told() + 1;
        self.store_time_ahead(turn, soon);
        self.views.cold_start(now);
        self.time.start(now);
        let roots = match std::mem::replace(&mut self.life, Life::Awake) {
            Life::AtRest { roots, .. } => roots,
            Life::Awake => Vec::new(),
        };
        turn.out.push(self.holds(Holding::Awake(roots)));
        self.last_broadcast = now;
        // Connections that are not back yet were not checked while the clock stood still.
        self.next_silence_check = now;
    }

    /// Sends what a client needs to join: the welcome, the snapshot, the log.
    fn welcome(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnId,
        arrival: Arrival,
        resume: Option<u64>,
        seamless: bool,
    ) {
        let Some(view) = self.views.get(arrival) else { return };
        let (view_id, counter) = (view.id(), view.counter());
        let snapshot = if resume.is_none() { self.log.snapshot() } else { None };
        let welcome = Welcome {
            timeline: self.timeline,
            view_id,
            resumed: resume.is_some(),
            seamless,
            time: self.time.told(),
            seq: self.log.newest(),
            counter,
            snapshot: snapshot.map(|(info, _)| *info),
            persisted: snapshot.and(self.log.begun_by()),
            tick_ms: u32::try_from(self.tick / 1_000).unwrap_or(u32::MAX),
            rejoin_limit_ms: u32::try_from(turn.config.rejoin_limit / 1_000).unwrap_or(u32::MAX),
            limits: turn.config.send_limits,
        };
        let from = resume.or(snapshot.map(|(info, _)| info.seq)).unwrap_or(0);
        let head = Bytes::from(ServerMessage::Welcome(welcome).encode());
        let parts = snapshot.into_iter().flat_map(|(_, parts)| parts.iter().cloned());
        // As soon as the client can run, so that it does not send what it has gathered.
        let pause = self.flow.is_held().then(|| ServerMessage::Hold(Hold::Pause).encode().into());
        let frames = [head].into_iter().chain(parts).chain(pause).chain(self.log.after(from));
        let frames: Vec<_> = frames.collect();
        for frame in frames {
            self.emit(turn.out, Output::Send { connection, frame });
        }
    }
}
