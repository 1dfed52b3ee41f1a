//! How clients come into a session.

use bytes::Bytes;
use teatime_wire::{Chain, CloseReason, Hold, Holding, Join, ServerMessage, Welcome};

use super::{Life, Refusal, Session, Turn};
use crate::block::Piece;
use crate::stored::PersistedRecord;
use crate::view::{Arrival, View};
use crate::{ConnId, Output};

impl Session {
    /// Lets a connection in, or says why not. Returns its view, and the connection that it replaces.
    pub(crate) fn join(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnId,
        join: &Join<'_>,
    ) -> Result<(Arrival, Option<ConnId>), Refusal> {
        let id = join.view_id();
        if self.views.newest_attempt(id).is_some_and(|newest| newest >= join.attempt) {
            let detail = "the view has made another connection since";
            return Err((CloseReason::Replaced, detail.into()));
        }
        if self.views.find(id).is_none() {
            if self.views.len() >= turn.config.max_views {
                return Err((CloseReason::Full, "the session is full".into()));
            }
            // Its join and its exit would go to the log. A lone client may be the one that makes room.
            if self.views.connected() > 0 && self.is_brimful(turn.config) {
                return Err((CloseReason::Full, "the log of the session is full".into()));
            }
        }
        if self.views.connected() == 0 {
            self.wake(turn);
        }
        let seamless = self.views.find(id).is_some_and(View::is_announced);
        let data = join.view_data.map(Bytes::copy_from_slice);
        let line = (connection, join.attempt);
        let (arrival, replaced) = self.views.connect(id, (data, join.agent), line);
        // A client knows nothing of votes on the connection before.
        self.ballot.gone(arrival);
        let resume = join.resume.filter(|resume| {
            let chain = self.log.chain_at(resume.seq).map(Chain::value);
            resume.timeline == self.timeline && chain == Some(resume.chain)
        });
        self.welcome(turn, connection, arrival, resume.map(|resume| resume.seq), seamless);
        self.emit(turn.out, Output::Enter { connection, session: self.key });
        self.gather(turn);
        Ok((arrival, replaced))
    }

    /// Whether a new session should take the place of this one, if this one is empty: it would begin with other data.
    pub(crate) fn is_outdated(&self, persisted: Option<&PersistedRecord>) -> bool {
        let begun = self.log.begun_by().and(self.log.snapshot()).map(|(info, _)| info.hash);
        persisted.is_some_and(|record| begun != Some(record.hash()))
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        // Clients will see its time from now on. And a client only comes in if something can be stored, unless nothing of
        // the session is.
        let soon = self.time.told() + 1;
        self.store_time_ahead(turn, soon);
        self.views.cold_start(now);
        self.time.start(now);
        let roots = match std::mem::replace(&mut self.life, Life::Awake) {
            Life::AtRest { roots, .. } => roots,
            Life::Awake => Vec::new(),
        };
        self.tell_blobs(turn.out, Holding::Awake(roots));
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
        let (view_id, counter) = (view.id(), view.known_counter());
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
        if let Some((info, _)) = snapshot.filter(|_| self.log.begun_by().is_none())
            && let Some(view) = self.views.get_mut(arrival)
        {
            view.give_snapshot(info.seq);
        }
        let from = resume.or(snapshot.map(|(info, _)| info.seq)).unwrap_or(0);
        let head = Bytes::from(ServerMessage::Welcome(welcome).encode());
        let parts = snapshot.into_iter().flat_map(|(_, parts)| parts.iter().cloned());
        // As soon as the client can run, so that it does not send what it has gathered.
        let pause = self.flow.is_held().then(|| ServerMessage::Hold(Hold::Pause).encode().into());
        let frames: Vec<_> = [head].into_iter().chain(parts).chain(pause).collect();
        let log = self.log.after(from);
        for frame in frames {
            self.emit(turn.out, Output::Send { connection, frame });
        }
        for piece in log {
            let output = match piece {
                Piece::Block(block) => Output::SendLog { connection, block },
                Piece::Frame(frame) => Output::Send { connection, frame },
            };
            self.emit(turn.out, output);
        }
    }
}
