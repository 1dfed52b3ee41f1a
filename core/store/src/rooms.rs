//! Which rooms there are of a name.

use std::collections::{BTreeMap, BTreeSet};

use teatime_reflector::{Claims, InRoom};
use teatime_wire::Digest;

/// The rooms of all names: of each the sessions, and whether something is persisted in it.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    sessions: BTreeMap<(Digest, Digest), usize>,
    kept: BTreeSet<(Digest, Digest)>,
}

impl Rooms {
    pub(crate) fn add(&mut self, what: &InRoom) {
        let place = (what.name, what.id);
        if what.is_kept {
            self.kept.insert(place);
        } else {
            *self.sessions.entry(place).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, what: &InRoom) {
        let place = (what.name, what.id);
        if what.is_kept {
            self.kept.remove(&place);
        } else if let Some(count) = self.sessions.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.sessions.remove(&place);
            }
        }
    }

    /// What there is of the rooms of a name, but for this.
    pub(crate) fn claims(&self, name: Digest, id: Digest, but: Option<InRoom>) -> Claims {
        let itself = usize::from(but == Some(InRoom { name, id, is_kept: false }));
        let sessions = self.sessions.get(&(name, id)).copied().unwrap_or(0);
        let from = (name, Digest([0; 32]));
        // Two of them, for one may be this.
        let mut of_name = self.kept.range(from..).take_while(|place| place.0 == name).take(2);
        Claims {
            own: sessions > itself || self.kept.contains(&(name, id)),
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
        let claims = |rooms: &Rooms, id, but| {
            let Claims { own, others } = rooms.claims(digest(5), digest(id), but);
            (own, others)
        };
        for other in [what(4, 9, true), what(6, 0, true), what(5, 2, false)] {
            rooms.add(&other);
        }
        assert_eq!(claims(&rooms, 1, None), (false, false));
        assert_eq!(claims(&rooms, 2, None), (true, false));
        assert_eq!(claims(&rooms, 2, Some(what(5, 2, false))), (false, false));
        rooms.add(&what(5, 2, false));
        assert_eq!(claims(&rooms, 2, Some(what(5, 2, false))), (true, false));
        for id in [0, 255] {
            rooms.add(&what(5, id, true));
            assert_eq!(claims(&rooms, 1, None), (false, true));
            assert_eq!(claims(&rooms, 2, None), (true, true));
            assert_eq!(claims(&rooms, id, None), (true, false));
            rooms.add(&what(5, 3, true));
            assert_eq!(claims(&rooms, id, None), (true, true));
            rooms.remove(&what(5, 3, true));
            rooms.remove(&what(5, id, true));
        }
        rooms.remove(&what(5, 2, false));
        rooms.remove(&what(5, 2, false));
        assert_eq!(claims(&rooms, 2, None), (false, false));
        assert!(rooms.sessions.is_empty());
    }
}
