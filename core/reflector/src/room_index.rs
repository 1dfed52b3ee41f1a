//! Which rooms of each name have something to lose.

use std::collections::{BTreeMap, BTreeSet};

use teatime_wire::Digest;

use crate::storage::{Claims, RoomId};

/// The rooms of all names: which of them have persisted data, and how many sessions of each a participant has used.
#[derive(Debug, Default)]
pub struct RoomIndex {
    used: BTreeMap<RoomId, usize>,
    persisted: BTreeSet<RoomId>,
}

impl RoomIndex {
    /// One more session of the room in which a participant has done something.
    pub fn add_use(&mut self, room: RoomId) {
        *self.used.entry(room).or_default() += 1;
    }

    /// One such session less.
    pub fn remove_use(&mut self, room: RoomId) {
        if let Some(count) = self.used.get_mut(&room) {
            *count -= 1;
            if *count == 0 {
                self.used.remove(&room);
            }
        }
    }

    /// The room has persisted data.
    pub fn add_persisted(&mut self, room: RoomId) {
        self.persisted.insert(room);
    }

    /// The room no longer has persisted data.
    pub fn remove_persisted(&mut self, room: RoomId) {
        self.persisted.remove(&room);
    }

    /// What the rooms of the name of this room have to lose.
    pub fn claims(&self, room: RoomId) -> Claims {
        let from = RoomId { name: room.name, id: Digest([0; 32]) };
        // Two of them, because one may be this room.
        let of_name = self.persisted.range(from..).take_while(|other| other.name == room.name);
        Claims {
            own: self.used.contains_key(&room) || self.persisted.contains(&room),
            others: of_name.take(2).any(|other| *other != room)
                || self.others_of(room).next().is_some(),
        }
    }

    /// The other rooms of the name of this room in which a participant has done something.
    pub fn others_of(&self, room: RoomId) -> impl Iterator<Item = RoomId> + '_ {
        let from = RoomId { name: room.name, id: Digest([0; 32]) };
        let of_name = self.used.range(from..).map(|(other, _)| *other);
        of_name.take_while(move |other| other.name == room.name).filter(move |other| *other != room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: u8, id: u8) -> RoomId {
        RoomId { name: Digest([name; 32]), id: Digest([id; 32]) }
    }

    fn claims(index: &RoomIndex, id: u8) -> (bool, bool) {
        let Claims { own, others } = index.claims(room(5, id));
        (own, others)
    }

    #[test]
    fn use_and_persisted_data_in_another_room_claim_a_name() {
        let mut index = RoomIndex::default();
        index.add_persisted(room(4, 9));
        index.add_use(room(6, 0));
        assert_eq!(claims(&index, 1), (false, false));
        index.add_use(room(5, 2));
        assert_eq!(claims(&index, 1), (false, true));
        assert_eq!(claims(&index, 2), (true, false));
        index.remove_use(room(5, 2));
        for id in [0, 255] {
            index.add_persisted(room(5, id));
            assert_eq!(claims(&index, 1), (false, true));
            assert_eq!(claims(&index, 2), (false, true));
            assert_eq!(claims(&index, id), (true, false));
            index.add_persisted(room(5, 3));
            assert_eq!(claims(&index, id), (true, true));
            index.remove_persisted(room(5, 3));
            index.remove_persisted(room(5, id));
        }
        assert_eq!(claims(&index, 2), (false, false));
        assert_eq!(index.used.len(), 1, "the room of another name");
    }

    #[test]
    fn a_room_is_used_as_long_as_one_of_its_sessions_is() {
        let mut index = RoomIndex::default();
        assert_eq!(claims(&index, 2), (false, false));
        index.add_use(room(5, 2));
        index.add_use(room(5, 2));
        index.remove_use(room(5, 2));
        assert_eq!(claims(&index, 2), (true, false), "the other session is still there");
        index.remove_use(room(5, 2));
        index.remove_use(room(5, 2));
        assert_eq!(claims(&index, 2), (false, false));
    }
}
