//! What the participants of a session show of themselves: the newest of each.
//!
//! Nothing of it is ordered, logged or stored. A driver does not queue it for a client, but fetches it when the client's
//! socket takes more. So a slow client gets less of it instead of all of it later, and takes no memory here.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;
use teatime_wire::{Presence, ServerMessage, ViewId, limits};

/// Memory of an entry besides its bytes.
const PER_ENTRY: u64 = 256;

/// A message is full with this many bytes, so that an event which comes after it waits for no more.
const BYTES_PER_MESSAGE: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Presences {
    all: HashMap<ViewId, Shown>,
    /// The views by the versions of what they show.
    by_version: BTreeMap<u64, ViewId>,
    newest_version: u64,
    bytes: u64,
    /// When the reflector last told members of something new.
    told_at: u64,
    /// When the reflector tells them next.
    due: Option<u64>,
}

#[derive(Debug)]
struct Shown {
    version: u64,
    /// Empty: nothing any longer, which members must hear too.
    data: Bytes,
}

impl Presences {
    /// A view shows this from now on. Members hear of it `interval` µs after they last heard of something, or at once.
    pub(crate) fn show(&mut self, now: u64, interval: u64, view: ViewId, data: &[u8]) {
        if data.is_empty() && !self.all.contains_key(&view) {
            return;
        }
        self.forget(view);
        self.newest_version += 1;
        let version = self.newest_version;
        self.bytes += data.len() as u64;
        self.by_version.insert(version, view);
        self.all.insert(view, Shown { version, data: Bytes::copy_from_slice(data) });
        self.due.get_or_insert(now.max(self.told_at.saturating_add(interval)));
    }

    /// A view has exited.
    pub(crate) fn forget(&mut self, view: ViewId) {
        if let Some(Shown { version, data }) = self.all.remove(&view) {
            self.by_version.remove(&version);
            self.bytes -= data.len() as u64;
        }
    }

    /// How much more memory it takes if a view shows this, in bytes.
    pub(crate) fn growth(&self, view: ViewId, data: &[u8]) -> u64 {
        let before = self.all.get(&view).map(|shown| shown.data.len() as u64 + PER_ENTRY);
        (data.len() as u64 + PER_ENTRY).saturating_sub(before.unwrap_or(0))
    }

    pub(crate) fn memory(&self) -> u64 {
        self.bytes + self.all.len() as u64 * PER_ENTRY
    }

    /// When the reflector tells members of something new.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due
    }

    /// Whether members are to be told now. If so, that counts as done.
    pub(crate) fn take_due(&mut self, now: u64) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            (self.told_at, self.due) = (now, None);
        }
        is_due
    }

    /// Whether something is newer than this version.
    pub(crate) fn has_newer(&self, version: u64) -> bool {
        self.by_version.last_key_value().is_some_and(|(newest, _)| *newest > version)
    }

    /// A message with what is newer than this version, the oldest first, and the version that its receiver has then. `None`
    /// if nothing is newer.
    pub(crate) fn after(&self, version: u64) -> Option<(Bytes, u64)> {
        let newer = self.by_version.range((Bound::Excluded(version), Bound::Unbounded));
        let (mut entries, mut bytes, mut reached) = (Vec::new(), 0, None);
        for (version, view) in newer {
            let Some(shown) = self.all.get(view) else { continue };
            if entries.len() == limits::MAX_PRESENCES_PER_MESSAGE || bytes > BYTES_PER_MESSAGE {
                break;
            }
            bytes += shown.data.len();
            entries.push(Presence { view_id: *view, data: &shown.data });
            reached = Some(*version);
        }
        reached.map(|reached| (ServerMessage::Presences(entries).encode().into(), reached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: u64 = 33;

    fn view(number: u16) -> ViewId {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        ViewId(id)
    }

    /// What a client sees that fetches until nothing is newer: in this many messages, and the version that it has.
    fn fetch(presences: &Presences, mut version: u64) -> (Vec<(ViewId, Vec<u8>)>, usize, u64) {
        let (mut seen, mut messages) = (Vec::new(), 0);
        assert_eq!(presences.has_newer(version), presences.after(version).is_some());
        while let Some((frame, reached)) = presences.after(version) {
            assert!(reached > version && frame.len() < limits::MAX_PAYLOAD);
            let Ok(ServerMessage::Presences(entries)) = ServerMessage::decode(&frame) else {
                panic!("{frame:?} does not contain presences");
            };
            seen.extend(entries.iter().map(|entry| (entry.view_id, entry.data.to_vec())));
            (version, messages) = (reached, messages + 1);
        }
        (seen, messages, version)
    }

    #[test]
    fn a_client_gets_the_newest_of_each_once() {
        let mut presences = Presences::default();
        for (number, data) in [(1, b"a"), (2, b"b"), (1, b"c")] {
            presences.show(0, INTERVAL, view(number), data);
        }
        let (seen, _, version) = fetch(&presences, 0);
        assert_eq!(seen, [(view(2), b"b".to_vec()), (view(1), b"c".to_vec())]);
        assert_eq!(presences.after(version), None);
        presences.show(0, INTERVAL, view(2), b"");
        presences.show(0, INTERVAL, view(3), b"");
        assert_eq!(fetch(&presences, version).0, [(view(2), vec![])], "the end of one is news");
        presences.forget(view(1));
        assert_eq!(fetch(&presences, 0).0, [(view(2), vec![])]);
    }

    #[test]
    fn many_come_in_several_messages_and_memory_follows_what_is_shown() {
        let mut presences = Presences::default();
        for number in 0..1_000 {
            assert_eq!(presences.growth(view(number), &[7; 1_000]), 1_000 + PER_ENTRY);
            presences.show(0, INTERVAL, view(number), &[7; 1_000]);
        }
        let (seen, messages, _) = fetch(&presences, 0);
        assert_eq!(seen.len(), 1_000);
        assert!((20..60).contains(&messages), "{messages} messages");
        assert_eq!(presences.memory(), 1_000 * (1_000 + PER_ENTRY));
        assert_eq!(presences.growth(view(1), &[7; 1_010]), 10);
        (0..1_000).for_each(|number| presences.forget(view(number)));
        assert_eq!((presences.memory(), presences.after(0)), (0, None));
    }

    #[test]
    fn members_are_told_at_once_and_then_once_in_an_interval() {
        let mut presences = Presences::default();
        presences.show(1_000, INTERVAL, view(1), b"a");
        assert!(presences.take_due(1_000) && !presences.take_due(1_000));
        presences.show(1_001, INTERVAL, view(1), b"b");
        presences.show(1_002, INTERVAL, view(1), b"c");
        assert_eq!(presences.due(), Some(1_033));
        assert!(!presences.take_due(1_032) && presences.take_due(1_033));
        assert_eq!(presences.due(), None);
    }
}
