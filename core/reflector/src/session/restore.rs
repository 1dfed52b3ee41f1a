//! How a session goes on from what the storage has of it.

use teatime_wire::{Chain, Envelope, ServerMessage, SessionId, limits};

use super::flow::Reason;
use super::persisting::Persistence;
use super::time::SessionTime;
use super::{Content, Life, Session, begun_log};
use crate::SessionKey;
use crate::config::Config;
use crate::log::Log;
use crate::storage::{Previous, RecordKind, StorageError, Stored};
use crate::stored::{self, Head, PersistedRecord, SessionCheckpoint};

/// What the stored records add up to.
#[derive(Default)]
struct Progress {
    /// The newest time in a checkpoint or an ordered message.
    told: u64,
    /// The views of the checkpoint are those after this message.
    views_from: u64,
    /// The last time that was stored by itself.
    time: u64,
}

impl Session {
    /// A session as it was stored: no client is connected, and it goes on at its time and its sequence number when one
    /// is.
    pub(crate) fn restore(
        key: SessionKey,
        id: SessionId,
        stored: &Stored,
        now: u64,
        config: &Config,
        era: u64,
    ) -> Result<Self, StorageError> {
        let head = Head::read(&stored.head)?;
        let mut session = Self::new(key, id, &head, config, era);
        let (mut progress, mut roots, mut found) = (Progress::default(), Vec::new(), None);
        if let Some(checkpoint) = &stored.checkpoint {
            let checkpoint = SessionCheckpoint::read(&checkpoint.bytes)?;
            (progress.views_from, progress.told) = (checkpoint.newest, checkpoint.time);
            let (_, envelope) = Envelope::open(&checkpoint.parts)
                .map_err(|error| stored::invalid("checkpoint", &error.to_string()))?;
            roots = session.own_roots(&envelope).unwrap_or_default();
            session.log = match &stored.previous {
                Some(previous) => {
                    let log = session.restore_previous(previous, head.persisted.as_ref())?;
                    log.followed_by(checkpoint.info, &checkpoint.parts)
                }
                None => Log::after_snapshot(checkpoint.info, &checkpoint.parts),
            };
            if let Some(part) = envelope.persisted {
                found = Some(session.record(checkpoint.info.seq, part));
            }
            session.check_position(progress.told)?;
            session.content = Content::Used;
            session.ballot.snapshot_was_at(checkpoint.info.time, config);
            let SessionCheckpoint { views, departed, has_forgotten, .. } = checkpoint;
            session.views.restore(views, departed, has_forgotten);
            if stored.previous.is_some() {
                // When it came is not known, so nothing is said of the blobs.
                session.distrust(now, None);
            }
        } else {
            session.begin_with(head.persisted.as_ref());
            found = head.persisted;
        }
        for record in &stored.records {
            match record.kind {
                RecordKind::Time => progress.time = stored::read_time(&record.bytes)?,
                RecordKind::Ordered => {
                    let message = stored::read_ordered(&record.bytes)?;
                    session.restore_ordered(record.seq, &message, &mut progress)?;
                    session.log.push(record.bytes.clone());
                }
            }
        }
        let told = progress.told.max(progress.time);
        session.check_position(told)?;
        session.limit_history(config);
        if session.log.bytes() >= config.log_limit_bytes {
            session.flow.hold(Reason::LogFull);
        }
        session.is_on_disk = true;
        session.time = SessionTime::restored(told);
        session.life = Life::AtRest { since: now, roots };
        session.persistence = Persistence::restored(found);
        Ok(session)
    }

    /// The log that the newest checkpoint has replaced.
    fn restore_previous(
        &self,
        previous: &Previous,
        begun_with: Option<&PersistedRecord>,
    ) -> Result<Log, StorageError> {
        let mut log = match &previous.checkpoint {
            Some(checkpoint) => {
                let checkpoint = SessionCheckpoint::read(&checkpoint.bytes)?;
                Log::after_snapshot(checkpoint.info, &checkpoint.parts)
            }
            None => match begun_with {
                Some(data) => begun_log(self.id, data),
                None => Log::starting(Chain::start(self.id, None)),
            },
        };
        let ordered = previous.records.iter().filter(|record| record.kind == RecordKind::Ordered);
        for record in ordered {
            if record.seq != log.newest() + 1 {
                let why = format!("number {} after {}", record.seq, log.newest());
                return Err(stored::invalid("message", &why));
            }
            log.push(record.bytes.clone());
        }
        Ok(log)
    }

    /// Its views exit at this time, unless they are back by then.
    pub(crate) fn returns_until(mut self, exit_at: u64) -> Self {
        self.views.all_exit_at(exit_at);
        self
    }

    /// When the last of its views without a connection exits.
    pub(crate) fn last_exit(&self) -> Option<u64> {
        self.views.last_exit()
    }

    /// Files may come from anywhere. Nothing that is computed from these numbers may overflow.
    fn check_position(&self, told: u64) -> Result<(), StorageError> {
        match told.max(self.log.newest()) {
            0..=limits::MAX_TIME_OR_SEQ => Ok(()),
            _ => Err(stored::invalid("session", "its time or sequence number is too high")),
        }
    }

    /// What an ordered message has changed besides the log.
    fn restore_ordered(
        &mut self,
        seq: u64,
        message: &ServerMessage<'_>,
        progress: &mut Progress,
    ) -> Result<(), StorageError> {
        let changes_views = seq > progress.views_from;
        let (at, time) = match message {
            ServerMessage::Event(event) => {
                self.content = Content::Used;
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
            _ => return Err(stored::invalid("message", "not an ordered one")),
        };
        if at != seq || at != self.log.newest() + 1 {
            let why = format!("number {at} after {}", self.log.newest());
            return Err(stored::invalid("message", &why));
        }
        progress.told = progress.told.max(time);
        Ok(())
    }
}
