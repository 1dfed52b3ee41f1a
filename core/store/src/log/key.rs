//! How a key is written in the log, in streams and in names of files.

use std::fmt::Write;

use teatime_reflector::storage::{Key, RoomId};
use teatime_wire::{Digest, SessionId};

use crate::log::checksum::Take;

const SESSION: u8 = 1;
const ROOM: u8 = 2;

/// The bytes of a key: a tag, then its ids.
pub(crate) fn encode(key: Key) -> Vec<u8> {
    match key {
        Key::Session(session) => [&[SESSION][..], &session.0].concat(),
        Key::Room(room) => [&[ROOM][..], &room.name.0, &room.id.0].concat(),
    }
}

/// The key at the front of these bytes, and the bytes after it.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Key, &[u8])> {
    let mut take = Take::new(bytes);
    let key = match take.u8()? {
        SESSION => Key::Session(SessionId(take.array()?)),
        ROOM => {
            let (name, id) = (Digest(take.array()?), Digest(take.array()?));
            Key::Room(RoomId { name, id })
        }
        _ => return None,
    };
    Some((key, take.rest()))
}

/// The beginning of the names of its files.
pub(crate) fn file_stem(key: Key) -> String {
    let mut stem = String::new();
    // Writing to a string cannot fail.
    let _ = match key {
        Key::Session(session) => write!(stem, "session-{session}"),
        Key::Room(room) => write!(stem, "room-{}-{}", room.name, room.id),
    };
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_every_cut_is_refused() {
        let session = Key::Session(SessionId([1; 32]));
        let room = Key::Room(RoomId { name: Digest([2; 32]), id: Digest([3; 32]) });
        for key in [session, room] {
            let mut bytes = encode(key);
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
            }
            bytes.extend_from_slice(b"head");
            assert_eq!(decode(&bytes), Some((key, &b"head"[..])));
            bytes[0] = 9;
            assert_eq!(decode(&bytes), None);
        }
    }
}
