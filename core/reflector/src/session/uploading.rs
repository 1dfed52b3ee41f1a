//! How the snapshot of a vote comes in, and what follows from it.

use teatime_wire::{CloseReason, Envelope, Hold, ServerMessage, SnapshotInfo, SnapshotPart};

use super::flow::Reason;
use super::history::most_history;
use super::{Content, Refusal, Session, Turn, ask_for_checkpoint};
use crate::config::Config;
use crate::gate::Gated;
use crate::stored::SessionCheckpoint;
use crate::upload::{Added, Upload};
use crate::view::Arrival;

impl Session {
    /// Asks the next candidate for the snapshot. Skips those that are gone.
    pub(super) fn ask_for_upload(&mut self, turn: &mut Turn<'_>) {
        while let Some(upload) = self.ballot.upload.take() {
            let seq = upload.seq();
            let view = self.views.get_mut(upload.from());
            match view.and_then(|view| Some((view.connection()?, view))) {
                Some((connection, view)) => {
                    view.ask_for_snapshot(seq);
                    self.send_to(turn, connection, &ServerMessage::SnapshotWanted(seq));
                    self.ballot.upload = Some(upload);
                    return;
                }
                None => self.ballot.upload = upload.next(turn.now + turn.config.upload_timeout),
            }
        }
        self.no_snapshot_comes(turn);
    }

    pub(super) fn no_snapshot_comes(&mut self, turn: &Turn<'_>) {
        self.ballot.no_own_vote_before(turn.now + turn.config.vote_retry);
    }

    pub(super) fn give_up_uploader(&mut self, turn: &mut Turn<'_>) {
        if let Some(upload) = self.ballot.upload.take() {
            if let Some(view) = self.views.get_mut(upload.from()) {
                view.mark_failed();
            }
            tracing::debug!(session = %self.id, "an upload of a snapshot came to nothing");
            self.ballot.upload = upload.next(turn.now + turn.config.upload_timeout);
            self.ask_for_upload(turn);
        }
    }

    /// Whether a view was asked for the snapshot of this vote, and is handing it in.
    pub(crate) fn expects_part(&self, from: Arrival, seq: u64) -> bool {
        self.ballot
            .upload
            .as_ref()
            .is_some_and(|upload| (upload.from(), upload.seq()) == (from, seq))
    }

    /// Takes a part of the snapshot from the view that was asked for it.
    pub(crate) fn snapshot_part(
        &mut self,
        turn: &mut Turn<'_>,
        from: Arrival,
        part: &SnapshotPart<'_>,
    ) -> Result<(), Refusal> {
        let asked = self.views.get(from).is_some_and(|view| view.was_asked_for(part.seq));
        let expected = |upload: &&mut Upload| (upload.from(), upload.seq()) == (from, part.seq);
        let has_room = self.has_room_for_snapshot(part.total);
        let Some(upload) = self.ballot.upload.as_mut().filter(expected) else {
            // A view that was too slow may send on. That is merely useless.
            let refusal = (CloseReason::OutOfOrder, "an unexpected snapshot".into());
            return if asked { Ok(()) } else { Err(refusal) };
        };
        if !upload.has_begun() && !has_room {
            let (session, bytes) = (self.id, part.total);
            tracing::warn!(%session, bytes, "no memory is left for a snapshot");
            // It may be the share of this client's address that is used up.
            self.give_up_uploader(turn);
            return Ok(());
        }
        let Config { upload_timeout, send_limits, .. } = turn.config;
        match upload.add(part, send_limits.max_snapshot, turn.now, *upload_timeout) {
            Added::More => Ok(()),
            Added::Complete => self.finish_upload(turn),
            Added::Wrong => {
                self.give_up_uploader(turn);
                let detail = "a snapshot that does not fit, or is not what was voted for".into();
                Err((CloseReason::OutOfOrder, detail))
            }
        }
    }

    /// Takes the snapshot if its envelope is valid. If not, the other candidates are not asked: they voted for the same
    /// bytes.
    fn finish_upload(&mut self, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let Some(upload) = self.ballot.upload.take() else { return Ok(()) };
        // A vote is younger than the snapshot before it.
        let Some(chain) = self.log.chain_at(upload.seq()) else { return Ok(()) };
        let (info, parts) = upload.finish(chain.value());
        match Envelope::open(&parts) {
            Ok((_, envelope)) => {
                self.accept_snapshot(turn, info, parts, envelope);
                Ok(())
            }
            Err(error) => {
                let (session, seq) = (self.id, info.seq);
                tracing::warn!(%session, seq, %error, "the snapshot of a majority is refused");
                if self.persistence.give_up(seq) {
                    self.tell_not_persisted(turn, seq, Some(&error.to_string()));
                }
                self.no_snapshot_comes(turn);
                Err((CloseReason::OutOfOrder, error.to_string()))
            }
        }
    }

    fn accept_snapshot(
        &mut self,
        turn: &mut Turn<'_>,
        info: SnapshotInfo,
        parts: Vec<Vec<u8>>,
        envelope: Envelope,
    ) {
        tracing::info!(session = %self.id, seq = info.seq, bytes = info.size, "a new snapshot");
        self.begin_storing(turn);
        self.distrust(turn.now, self.own_roots(&envelope));
        self.content = Content::Used;
        if let Some(part) = envelope.persisted {
            let new = self.record(info.seq, part);
            self.persistence.has_snapshot(new);
        } else if self.persistence.give_up(info.seq) {
            self.tell_not_persisted(turn, info.seq, Some("the state persists nothing"));
        }
        self.log.replace_by(info, &parts, most_history(turn.config));
        let previous = self.log.previous();
        if turn.out.has_storage() {
            let parts = parts.into_iter().map(serde_bytes::ByteBuf::from).collect();
            let (newest, time) = (self.log.newest(), self.time.newest());
            let mut checkpoint = SessionCheckpoint::new(info, parts, newest, time);
            (checkpoint.views, checkpoint.departed, checkpoint.has_forgotten) = self.views.store();
            if self.gate.is_open() {
                ask_for_checkpoint(turn.out, self.id, &checkpoint, previous);
            } else {
                self.gate.push(Gated::Checkpoint(Box::new(checkpoint), previous));
            }
        }
        if self.ballot.ended(info.seq).is_some_and(|ended| ended.is_agreed()) {
            self.prove(turn, info.seq);
        }
        self.ballot.may_vote_from(turn.now);
        self.ballot.snapshot_was_at(info.time, turn.config);
        if self.flow.is_held_by(Reason::LogFull)
            && self.log.bytes() < self.log_limit(turn.config)
            && self.flow.free(Reason::LogFull)
        {
            self.tell_hold(turn, Hold::Resume);
        }
    }
}
