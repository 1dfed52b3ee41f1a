//! The harness of the tests: what a store should hold, in the simplest form; how a reflector uses a
//! shared store; a disk that waits at a gate; whole reflectors with clients.

pub(crate) mod content;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod room;
pub(crate) mod vault;
pub(crate) mod world;

use teatime_store::{Config, Durability, Key, MemoryDisk};
use teatime_wire::SessionId;

/// The key of a session.
pub(crate) fn id(n: u8) -> Key {
    Key::Session(SessionId([n; 32]))
}

/// Segments so small that every part of their life happens.
pub(crate) fn small(durability: Durability, segment_bytes: u64) -> Config {
    Config { durability, segment_bytes, ..Config::default() }
}

/// Bytes of all files.
pub(crate) fn used(disk: &MemoryDisk) -> u64 {
    disk.files().iter().map(|(_, data)| data.len() as u64).sum()
}
