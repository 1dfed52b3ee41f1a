//! Which sessions are kept.

use std::collections::HashSet;

use crate::Error;
use crate::disk::Disk;
use crate::entry::{Entry, What};
use crate::limits::REMOVED_AT_ONCE;
use crate::storage::{SessionId, SessionInfo, Storage};
use crate::store::Store;

/// Notes of use are written when the one before is older than this part of the greatest age.
const NOTES_PER_AGE: u64 = 16;

/// Which sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Whoever was not used for so many seconds goes.
    pub max_age_unused: u64,
    /// As long as all together need more bytes than this, the least recently used goes.
    pub max_bytes: u64,
}

impl<D: Disk> Store<D> {
    pub(crate) fn retain_sessions(
        &mut self,
        policy: &Retention,
        in_use: &dyn Fn(&SessionId) -> bool,
        now: u64,
    ) -> Result<Vec<SessionId>, Error> {
        let sessions = self.sessions();
        let used: HashSet<SessionId> =
            sessions.iter().map(|session| session.id).filter(|id| in_use(id)).collect();
        // A clock that was set back must not make everything old once it is right again.
        let newest = sessions.iter().filter_map(|session| session.last_used).max();
        let now = now.max(newest.unwrap_or(0));
        // Of a session without a note nothing is known: as if it were used now.
        let least = policy.max_age_unused / NOTES_PER_AGE;
        for session in &sessions {
            let stale = used.contains(&session.id)
                && session.last_used.is_some_and(|time| time.saturating_add(least) <= now);
            if stale || session.last_used.is_none() {
                self.touch(&session.id, now)?;
            }
        }
        let mut gone = choose(policy, sessions, &used, now);
        gone.truncate(REMOVED_AT_ONCE);
        for id in &gone {
            self.remove(id)?;
        }
        self.commit()?;
        Ok(gone)
    }

    fn touch(&mut self, id: &SessionId, now: u64) -> Result<(), Error> {
        self.heal()?;
        let Ok(session) = self.tentative(id) else { return Ok(()) };
        let number = session.number;
        let index = self.pending.next_index();
        self.pending.push(&Entry::bare(What::Touch, number, index, now), &[])
    }
}

/// Whom the policy sends away, the least recently used first.
fn choose(
    policy: &Retention,
    mut sessions: Vec<SessionInfo>,
    used: &HashSet<SessionId>,
    now: u64,
) -> Vec<SessionId> {
    let mut bytes: u64 = sessions.iter().map(|session| session.bytes).sum();
    sessions.retain(|session| !used.contains(&session.id));
    sessions.sort_by_key(|session| (session.last_used.unwrap_or(now), session.id));
    let mut gone = Vec::new();
    for session in sessions {
        let age = now.saturating_sub(session.last_used.unwrap_or(now));
        if age > policy.max_age_unused || bytes > policy.max_bytes {
            bytes -= session.bytes;
            gone.push(session.id);
        }
    }
    gone
}
