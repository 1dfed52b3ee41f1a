//! Which rooms there are of a name.

use std::collections::{BTreeMap, BTreeSet};

use teatime_reflector::{Claims, InRoom};
use teatime_wire::Digest;

/// The rooms of all names: in how many sessions of each somebody has done something, and whether something is
/// persisted in it.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    used: BTreeMap<(Digest, Digest), usize>,
    kept: BTreeSet<(Digest, Digest)>,
}

impl Rooms {
    pub(crate) fn add(&mut self, what: &InRoom, is_used: bool) {
        if what.is_kept {
            self.kept.insert((what.name, what.id));
        } else if is_used {
            self.is_used(what);
        }
    }

    /// Somebody has done something in a session.
    pub(crate) fn is_used(&mut self, what: &InRoom) {
        if !what.is_kept {
            *self.used.entry((what.name, what.id)).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, what: &InRoom, is_used: bool) {
        let place = (what.name, what.id);
        if what.is_kept {
            self.kept.remove(&place);
        } else if is_used && let Some(count) = self.used.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.used.remove(&place);
            }
        }
    }

    /// What there is of the rooms of a name.
    pub(crate) fn claims(&self, name: Digest, id: Digest) -> Claims {
        let from = (name, Digest([0; 32]));
        // Two of them, for one may be this.
        let mut of_name = self.kept.range(from..).take_while(|place| place.0 == name).take(2);
        Claims {
            own: self.used.contains_key(&(name, id)) || self.kept.contains(&(name, id)),
            others: of_name.any(|place| place.1 != id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_claimed_by_what_is_persisted_in_another_of_its_rooms_only() {
        let digest = |number| Digest([number; 32]);
        let what = |name, id, is_kept| InRoom { name: digest(name), id: digest(id), is_kept };
        let mut rooms = Rooms::default();
        let claims = |rooms: &Rooms, id| {
            let Claims { own, others } = rooms.claims(digest(5), digest(id));
            (own, others)
        };
        for (other, is_used) in
            [(what(4, 9, true), false), (what(6, 0, true), false), (what(5, 2, false), true)]
        {
            rooms.add(&other, is_used);
        }
        assert_eq!(claims(&rooms, 1), (false, false));
        assert_eq!(claims(&rooms, 2), (true, false));
        for id in [0, 255] {
            rooms.add(&what(5, id, true), false);
            assert_eq!(claims(&rooms, 1), (false, true));
            assert_eq!(claims(&rooms, 2), (true, true));
            assert_eq!(claims(&rooms, id), (true, false));
            rooms.add(&what(5, 3, true), false);
            assert_eq!(claims(&rooms, id), (true, true));
            rooms.remove(&what(5, 3, true), false);
            rooms.remove(&what(5, id, true), false);
        }
        rooms.remove(&what(5, 2, false), true);
        assert_eq!(claims(&rooms, 2), (false, false));
        assert!(rooms.used.is_empty());
    }

    #[test]
    fn a_session_counts_from_when_somebody_has_done_something_in_it() {
        let own = InRoom { name: Digest([5; 32]), id: Digest([2; 32]), is_kept: false };
        let mut rooms = Rooms::default();
        rooms.add(&own, false);
        assert!(!rooms.claims(own.name, own.id).own);
        rooms.is_used(&own);
        rooms.add(&own, true);
        rooms.remove(&own, true);
        assert!(rooms.claims(own.name, own.id).own, "the other one is still there");
        rooms.remove(&own, true);
        rooms.remove(&own, false);
        assert!(!rooms.claims(own.name, own.id).own);
    }
}
