//! Which sessions and rooms a store retains.

use std::collections::HashSet;

use teatime_reflector::storage::Key;

use crate::limits::REMOVED_AT_ONCE;
use crate::store::item::Info;

/// Use is noted again when the last note is older than this part of the greatest age.
const NOTES_PER_AGE: u64 = 16;

/// A session in which no participant has done anything is deleted when it is unused for this many seconds: a day. Clients
/// lose nothing, and strangers who only join leave nothing behind.
const EMPTY_AGE: u64 = 86_400;

/// Which sessions and rooms a store retains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Those unused for more than this many seconds are deleted.
    pub max_age_unused: u64,
    /// While all together need more bytes than this, one is deleted: first the sessions in which no participant has done anything, and
    /// of those, and then of the others, the least recently used.
    pub max_bytes: u64,
}

/// What the policy demands now.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Of these, that they are used now is to be noted.
    pub(crate) touched: Vec<Key>,
    /// These are to be removed, the least recently used first.
    pub(crate) removed: Vec<Key>,
    /// The time now, in seconds since 1970; never earlier than a time noted before.
    pub(crate) now: u64,
}

impl Retention {
    /// Decides about everything that is stored.
    pub(crate) fn decide(
        &self,
        infos: Vec<Info>,
        in_use: &dyn Fn(&Key) -> bool,
        now: u64,
    ) -> Decision {
        let used: HashSet<Key> = infos.iter().map(|info| info.key).filter(in_use).collect();
        // A clock that was set back must not make everything old once it is right again.
        let newest = infos.iter().filter_map(|info| info.last_used).max();
        let now = now.max(newest.unwrap_or(0));
        let least = self.max_age_unused / NOTES_PER_AGE;
        // What has no note yet counts as used now.
        let is_touched = |info: &&Info| match info.last_used {
            Some(time) => used.contains(&info.key) && time.saturating_add(least) <= now,
            None => true,
        };
        let touched = infos.iter().filter(is_touched).map(|info| info.key).collect();
        let mut removed = self.expired(infos, &used, now);
        removed.truncate(REMOVED_AT_ONCE);
        Decision { touched, removed, now }
    }

    fn expired(&self, mut infos: Vec<Info>, used: &HashSet<Key>, now: u64) -> Vec<Key> {
        let mut bytes: u64 = infos.iter().map(|info| info.bytes).sum();
        infos.retain(|info| !used.contains(&info.key));
        infos.sort_by_key(|info| (info.is_used, info.last_used.unwrap_or(now), info.key));
        let mut expired = Vec::new();
        for info in infos {
            let age = now.saturating_sub(info.last_used.unwrap_or(now));
            let most = if info.is_used { u64::MAX } else { EMPTY_AGE };
            if age > self.max_age_unused.min(most) || bytes > self.max_bytes {
                bytes -= info.bytes;
                expired.push(info.key);
            }
        }
        expired
    }
}
