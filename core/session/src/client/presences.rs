//! What participants show of themselves: this one's, on its way to the reflector, and that of the others.

use std::collections::BTreeMap;

use teatime_base::{Binding, Seal, ViewId};

use crate::content::is_one_value;
use crate::limits::{MAX_PRESENCES, PRESENCE_INTERVAL};

/// When something was sealed: the number of the connection, and the number of the message on it. A later one counts.
type Position = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Presences {
    own: Option<Own>,
    others: BTreeMap<ViewId, Shown>,
    /// The owner has been told that something has changed, and has not polled that yet.
    is_told: bool,
}

/// What this participant shows.
#[derive(Debug)]
struct Own {
    /// Empty: nothing any longer.
    data: Vec<u8>,
    /// It has gone out on this connection.
    is_sent: bool,
    /// How many have gone out.
    number: u64,
    /// When the next one may go out, on the driver's clock.
    next_at: u64,
}

/// What another participant shows.
#[derive(Debug)]
struct Shown {
    /// `None` without a password.
    sealed_at: Option<Position>,
    /// Empty: nothing now. The position is still known, so that nothing older is believed.
    data: Vec<u8>,
}

impl Presences {
    pub(super) fn set_own(&mut self, data: Vec<u8>) {
        let new = || Own { data: Vec::new(), is_sent: true, number: 0, next_at: 0 };
        let own = self.own.get_or_insert_with(new);
        if own.data != data {
            (own.data, own.is_sent) = (data, false);
        }
    }

    /// The reflector may know nothing of before.
    pub(super) fn start_connection(&mut self) {
        if let Some(own) = &mut self.own {
            (own.is_sent, own.next_at) = (false, 0);
        }
        self.others.retain(|_, shown| {
            shown.data.clear();
            shown.sealed_at.is_some()
        });
        // Positions of participants that have exited meanwhile stay behind, and must not take all the room.
        if self.others.len() > MAX_PRESENCES / 2 {
            self.others.clear();
        }
    }

    /// What goes out now, and its number.
    pub(super) fn next_to_send(&mut self, now: u64) -> Option<(u64, &[u8])> {
        let own = self.own.as_mut().filter(|own| !own.is_sent && own.next_at <= now)?;
        own.number += 1;
        (own.is_sent, own.next_at) = (true, now + PRESENCE_INTERVAL);
        Some((own.number, &own.data))
    }

    /// When something goes out next.
    pub(super) fn next_wakeup(&self) -> Option<u64> {
        self.own.as_ref().filter(|own| !own.is_sent).map(|own| own.next_at)
    }

    /// A participant shows this. An older one, or one that it has not sealed, is not believed. Returns whether that is another
    /// than before.
    pub(super) fn hear(&mut self, seal: &mut Seal, view: ViewId, sealed: &[u8]) -> bool {
        if sealed.is_empty() {
            // The reflector can send this as it likes, so it ends nothing but what is shown now.
            let shown = self.others.get_mut(&view).map(|shown| std::mem::take(&mut shown.data));
            return shown.is_some_and(|data| !data.is_empty());
        }
        let mut sealed = sealed.to_vec();
        let Some((sealed_at, data)) = opened(seal, view, &mut sealed) else { return false };
        let known = self.others.get(&view);
        // The newest may come again over another connection.
        let is_old = known.is_some_and(|known| sealed_at < known.sealed_at);
        let is_full = known.is_none() && self.others.len() >= MAX_PRESENCES;
        if is_old || is_full || !is_one_value(data) {
            return false;
        }
        let before = self.others.insert(view, Shown { sealed_at, data: data.to_vec() });
        before.is_none_or(|before| before.data != data)
    }

    /// A participant has exited: its next join has a later position. Returns whether it has shown something.
    pub(super) fn forget(&mut self, view: ViewId) -> bool {
        self.others.remove(&view).is_some_and(|shown| !shown.data.is_empty())
    }

    /// Whether a participant shows something. The models may not know it yet.
    pub(super) fn has(&self, view: ViewId) -> bool {
        self.others.get(&view).is_some_and(|shown| !shown.data.is_empty())
    }

    /// What a participant shows, if that was sealed over this connection of it, or a later one.
    pub(super) fn of(&self, view: ViewId, attempt: Option<u64>) -> Option<&[u8]> {
        let Shown { sealed_at, data } = self.others.get(&view)?;
        let is_old = sealed_at.zip(attempt).is_some_and(|((sealed, _), joined)| sealed < joined);
        (!is_old && !data.is_empty()).then_some(data)
    }

    /// Whether the others show nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.others.values().all(|shown| shown.data.is_empty())
    }

    /// Something has changed. Returns whether the owner must be told.
    pub(super) fn change(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    /// The owner has polled that something has changed.
    pub(super) fn mark_polled(&mut self) {
        self.is_told = false;
    }
}

/// What is sealed, or sent as it is without a password.
pub(super) fn sealed(
    seal: &mut Seal,
    view: ViewId,
    (attempt, number): Position,
    data: &[u8],
) -> Vec<u8> {
    if !seal.has_password() || data.is_empty() {
        // An empty one needs no seal: the reflector can also hide a presence by not passing it on.
        return data.to_vec();
    }
    let plain = rmp_serde::to_vec(&(attempt, number, serde_bytes::Bytes::new(data)))
        .expect("numbers and bytes can be expressed in MessagePack");
    seal.seal(Binding::Presence(view), &plain)
}

fn opened<'a>(
    seal: &mut Seal,
    view: ViewId,
    bytes: &'a mut [u8],
) -> Option<(Option<Position>, &'a [u8])> {
    if !seal.has_password() {
        return Some((None, bytes));
    }
    let plain = &mut seal.open(Binding::Presence(view), bytes).ok()?;
    if rmp::decode::read_array_len(plain).ok()? != 3 {
        return None;
    }
    let (attempt, number) =
        (rmp::decode::read_int(plain).ok()?, rmp::decode::read_int(plain).ok()?);
    let length = rmp::decode::read_bin_len(plain).ok()? as usize;
    (plain.len() == length).then_some((Some((attempt, number)), *plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(password: Option<&str>) -> Seal {
        let keys = teatime_base::RoomKeys::new("app", "room", password);
        let mut seal = Seal::new(teatime_base::SessionId([1; 32]), &keys);
        seal.start_connection([7; 16]);
        seal
    }

    const ADA: ViewId = ViewId([1; 16]);
    const BOB: ViewId = ViewId([2; 16]);

    // MessagePack: texts.
    const OLD: &[u8] = b"\xa3old";
    const NEW: &[u8] = b"\xa3new";
    const LATER: &[u8] = b"\xa5later";

    #[test]
    fn the_newest_of_this_participant_goes_out_and_no_more_often_than_the_interval() {
        let mut presences = Presences::default();
        presences.start_connection();
        assert_eq!(presences.next_to_send(0), None, "it has never shown anything");
        presences.set_own(b"a".to_vec());
        assert_eq!(presences.next_to_send(5), Some((1, &b"a"[..])));
        presences.set_own(b"b".to_vec());
        presences.set_own(b"c".to_vec());
        let next = 5 + PRESENCE_INTERVAL;
        assert_eq!((presences.next_wakeup(), presences.next_to_send(next - 1)), (Some(next), None));
        assert_eq!(presences.next_to_send(next), Some((2, &b"c"[..])));
        presences.set_own(b"c".to_vec());
        assert_eq!(presences.next_wakeup(), None, "it is the same");
        presences.start_connection();
        assert_eq!(presences.next_to_send(next), Some((3, &b"c"[..])), "over each connection");
        presences.set_own(Vec::new());
        assert_eq!(presences.next_to_send(u64::MAX / 2), Some((4, &b""[..])));
    }

    #[test]
    fn with_a_password_only_what_a_participant_has_sealed_counts_and_nothing_older() {
        let (mut seal, mut other) = (seal(Some("secret")), seal(Some("other")));
        let mut presences = Presences::default();
        let mut shown = |seal: &mut Seal, from, at, claimed: ViewId, data: &[u8]| {
            let sealed = sealed(seal, from, at, data);
            presences.hear(seal, claimed, &sealed);
            presences.of(claimed, Some(2)).map(<[u8]>::to_vec)
        };
        let old = sealed(&mut seal, ADA, (3, 1), OLD);
        assert_eq!(shown(&mut seal, ADA, (3, 2), ADA, NEW), Some(NEW.to_vec()));
        assert_eq!(shown(&mut seal, ADA, (3, 1), ADA, OLD), Some(NEW.to_vec()));
        assert_eq!(shown(&mut seal, ADA, (4, 1), ADA, LATER), Some(LATER.to_vec()));
        assert_eq!(shown(&mut seal, ADA, (9, 9), BOB, NEW), None, "it is not Bob's");
        assert_eq!(shown(&mut seal, BOB, (1, 9), BOB, OLD), None, "of before the join");
        let junk = [&b"junk"[..], &old, &sealed(&mut seal, ADA, (5, 1), b"\xc1"), &[0x91; 40]];
        for junk in junk {
            assert!(!presences.hear(&mut seal, ADA, junk));
            assert!(!presences.hear(&mut other, ADA, junk));
        }
        assert_eq!(presences.of(ADA, Some(2)), Some(LATER));
    }

    #[test]
    fn an_end_and_a_connection_do_not_let_a_reflector_show_what_was_before() {
        let mut seal = seal(Some("secret"));
        let old = sealed(&mut seal, ADA, (3, 1), OLD);
        let new = sealed(&mut seal, ADA, (3, 2), NEW);
        let nothing: fn(&mut Presences, &mut Seal) =
            |presences, seal| assert!(presences.hear(seal, ADA, b""));
        let connection: fn(&mut Presences, &mut Seal) = |presences, _| presences.start_connection();
        for end in [nothing, connection] {
            let mut presences = Presences::default();
            assert!(presences.hear(&mut seal, ADA, &new));
            end(&mut presences, &mut seal);
            assert_eq!((presences.of(ADA, None), presences.is_empty()), (None, true));
            assert!(!presences.hear(&mut seal, ADA, &old));
            assert_eq!(presences.of(ADA, None), None);
            assert!(presences.hear(&mut seal, ADA, &new), "the newest may come again");
            assert!(!presences.hear(&mut seal, ADA, &new), "it is the same");
        }
    }

    #[test]
    fn without_a_password_the_last_one_counts() {
        let (mut seal, mut presences) = (seal(None), Presences::default());
        for data in [NEW, OLD] {
            let sealed = sealed(&mut seal, ADA, (1, 1), data);
            assert!(presences.hear(&mut seal, ADA, &sealed));
            assert_eq!(presences.of(ADA, None), Some(data));
        }
        presences.forget(ADA);
        assert!(presences.is_empty());
    }

    #[test]
    fn a_reflector_that_invents_participants_does_not_fill_the_memory() {
        let (mut seal, mut presences) = (seal(None), Presences::default());
        for number in 0..MAX_PRESENCES as u64 + 10 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            presences.hear(&mut seal, ViewId(id), NEW);
        }
        assert_eq!(presences.others.len(), MAX_PRESENCES);
    }
}
