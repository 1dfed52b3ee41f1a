//! What clients persist with the snapshots of a session.

use teatime_wire::{NotPersisted, PersistedPart, ServerMessage};

use super::{Session, Turn};
use crate::config::Config;
use crate::stored::{Origin, PersistedRecord};

/// How often the pause between votes for persisted data doubles if they come to nothing: data that cannot be saved costs a
/// vote every twenty seconds, and once it can be saved again clients wait no longer than that.
const MAX_DOUBLINGS: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Persistence {
    wish: Wish,
    /// The newest message when a client asked last. Votes before it do not answer the request.
    asked_after: u64,
    /// No vote for persisted data before this time.
    next_vote: u64,
    /// How many such votes in a row came to nothing.
    failures: u32,
    /// What the newest snapshot persists, until its way to the room begins.
    new: Option<PersistedRecord>,
    /// What a loaded session holds: what it has persisted, or what it began with. Until its first client is there.
    found: Option<PersistedRecord>,
}

/// Whether a snapshot is wanted because of persisted data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Wish {
    #[default]
    None,
    /// Clients have asked for it.
    Asked,
    /// The last data could not be stored: it is wanted again.
    Failed,
    /// After such a failure there is a new snapshot. Its data is on the way.
    Retrying,
}

impl Persistence {
    pub(super) fn restored(found: Option<PersistedRecord>) -> Self {
        Self { found, ..Self::default() }
    }

    fn is_wanted(&self) -> bool {
        matches!(self.wish, Wish::Asked | Wish::Failed)
    }

    /// A snapshot with persisted data is there.
    pub(super) fn has_snapshot(&mut self, new: PersistedRecord) {
        self.new = Some(new);
        self.failures = 0;
        self.wish = match self.wish {
            Wish::Failed | Wish::Retrying => Wish::Retrying,
            Wish::None | Wish::Asked => Wish::None,
        };
    }

    /// Nothing that can be stored comes of the snapshot of this vote, and nothing would come of the next one: clients must
    /// ask again. True if a snapshot was wanted because of persisted data, and this was it.
    pub(super) fn give_up(&mut self, seq: u64) -> bool {
        seq > self.asked_after && std::mem::take(&mut self.wish) != Wish::None
    }

    /// All clients have left. The next clients do not ask for what the snapshot already has.
    pub(super) fn rest(&mut self) {
        self.wish = match self.wish {
            Wish::Failed | Wish::Retrying => Wish::Failed,
            Wish::None | Wish::Asked => Wish::None,
        };
    }
}

impl Session {
    /// What the newest snapshot persists, if that has not been taken yet.
    pub(crate) fn take_new_persisted(&mut self) -> Option<PersistedRecord> {
        self.persistence.new.take()
    }

    /// What was found in the session when it was loaded, if that has not been taken yet.
    pub(crate) fn take_found(&mut self) -> Option<PersistedRecord> {
        self.persistence.found.take()
    }

    /// What was persisted at a vote, as it is stored.
    pub(super) fn record(&self, seq: u64, part: PersistedPart) -> PersistedRecord {
        PersistedRecord {
            session: self.id,
            version: self.room.version,
            data: part.data.into(),
            roots: part.roots,
            origin: (self.first_timeline, seq),
            from: self.begun_from,
            change: 0,
        }
    }

    /// The number of the vote from which persisted data comes, if that was a vote of this session.
    pub(crate) fn own_vote(&self, origin: Origin) -> Option<u64> {
        (origin.0 == self.first_timeline && origin.1 > 0).then_some(origin.1)
    }

    /// A client says that its persisted data differs from that of the newest snapshot. The vote that leads to
    /// a new one begins at once, or when the interval since the last such vote has passed.
    pub(crate) fn persist(&mut self, turn: &mut Turn<'_>) {
        let Persistence { wish, asked_after, .. } = &mut self.persistence;
        *asked_after = self.log.newest();
        *wish = match wish {
            Wish::None | Wish::Asked => Wish::Asked,
            Wish::Failed | Wish::Retrying => Wish::Failed,
        };
        self.hold_persist_vote(turn);
    }

    pub(super) fn hold_persist_vote(&mut self, turn: &mut Turn<'_>) {
        if self.persist_vote_at().is_some_and(|at| turn.now >= at) {
            // It stays wanted until there is a snapshot.
            self.begin_vote(turn, true);
            let pause = self.persist_pause(turn.config);
            let Persistence { next_vote, failures, .. } = &mut self.persistence;
            *next_vote = turn.now + (pause << (*failures).min(MAX_DOUBLINGS));
            *failures += 1;
        }
    }

    /// When a vote is due because of persisted data.
    pub(super) fn persist_vote_at(&self) -> Option<u64> {
        (self.persistence.is_wanted() && self.ballot.is_free())
            .then_some(self.persistence.next_vote)
    }

    /// Time between such votes: one µs more for every byte of a snapshot.
    fn persist_pause(&self, config: &Config) -> u64 {
        config.persist_interval + self.log.snapshot().map_or(0, |(info, _)| info.size)
    }

    /// The data that was persisted at the vote with this number is stored.
    pub(crate) fn persisted(&mut self, turn: &mut Turn<'_>, seq: u64) {
        let wish = &mut self.persistence.wish;
        *wish = match wish {
            Wish::None | Wish::Retrying => Wish::None,
            Wish::Asked | Wish::Failed => Wish::Asked,
        };
        self.broadcast(turn, ServerMessage::Persisted(seq).encode().into());
    }

    /// The data that was persisted at the vote with this number is not stored.
    pub(crate) fn tell_not_persisted(
        &mut self,
        turn: &mut Turn<'_>,
        seq: u64,
        failure: Option<&str>,
    ) {
        let message = ServerMessage::NotPersisted(NotPersisted { seq, failure });
        self.broadcast(turn, message.encode().into());
    }

    /// Persisted data could not be stored: the session tries again.
    pub(crate) fn persist_again(&mut self, turn: &Turn<'_>) {
        let pause = self.persist_pause(turn.config);
        let Persistence { wish, next_vote, failures, .. } = &mut self.persistence;
        *wish = Wish::Failed;
        *failures = (*failures).max(1) + 1;
        *next_vote = (*next_vote).max(turn.now + (pause << (*failures).min(MAX_DOUBLINGS)));
    }
}
