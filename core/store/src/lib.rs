//! What a reflector keeps on disk, so that a crash loses nothing that anybody has seen.
//!
//! A [`Storage`] keeps sessions. Each has a *head* (what it began with), at most one *checkpoint*
//! (it stands for everything up to its sequence number) and the *records* after it. All of them
//! are opaque bytes; only in which room a session is, is read from a head that a reflector has written. Changes gather until [`Storage::commit`] writes them with one system call for
//! all sessions; whatever depends on them is told to others only after it has returned `Ok`.
//!
//! [`DiskStore`] keeps them in a directory, [`MemoryStore`] in memory: it is the same code over a
//! [`MemoryDisk`], which can fail, fill up, tear writes and crash like a real one.
//!
//! ```
//! use teatime_store::{Config, MemoryDisk, MemoryStore, Storage};
//!
//! let disk = MemoryDisk::default();
//! let mut store = MemoryStore::open(disk.clone(), Config::default())?;
//! let session = [7; 32];
//! store.begin(&session, b"head")?;
//! store.append(&session, 1, 0, b"first")?;
//! store.append(&session, 2, 0, b"second")?;
//! store.commit()?;
//! store.checkpoint(&session, 1, b"state after the first")?;
//! drop(store);
//!
//! let store = MemoryStore::open(disk, Config::default())?;
//! let stored = store.load(&session)?.expect("it was committed");
//! assert_eq!(stored.head, b"head");
//! assert_eq!(stored.checkpoint.expect("it has one").bytes, b"state after the first");
//! assert_eq!(stored.records.len(), 1);
//! # Ok::<(), teatime_store::Error>(())
//! ```
//!
//! # What is on disk
//!
//! | | |
//! |---|---|
//! | `LOCK` | locked as long as a store is open: a second one is refused |
//! | `FORMAT` | the version of all this, and the id of the store |
//! | `ERA` | whether a power cut may have taken something: see [`Store::era`] |
//! | `log/NNNNNNNNNN.seg` | segments: only ever appended to, and deleted from the oldest on |
//! | `blobs/SPACE-ID.chunk`, `.blob` | chunks of blobs, and what blobs consist of: see [`DiskBlobs`] |
//! | `blobs/SPACE-SESSION.refs` | to which blobs the state of a session refers |
//! | `checkpoints/SESSION-INDEX.ckpt` | the bytes of a checkpoint, nothing else |
//!
//! **The log wins.** Heads, records, removals, and which checkpoint counts are entries of the
//! log. The entry of a checkpoint carries length and checksum of its file. Files that no entry
//! names are deleted when the store is opened; an entry whose file is missing is corruption,
//! for no crash leaves it: the file is durable before its entry is written, and the file before
//! it is deleted only after that entry is durable.
//!
//! **A commit is all or nothing.** Its entries stand behind one header with their number and
//! length. A crash can tear the last commit of the newest segment and nothing else, so there, and
//! only there, damage is cut off and told as a warning. A flipped bit in that last commit looks
//! exactly like a torn write, so it takes that commit with it. Any other damage is refused with
//! [`Error::Corrupt`]. Damage counts as the last if no header of a commit is valid behind it.
//!
//! **Garbage.** When more than [`Config::garbage_percent`] of the log is garbage, commits carry
//! live entries of the oldest segment forward, a bounded number of bytes each, until nothing in
//! it lives. Then it is deleted. So no idle session pins a segment.
//!
//! # What is promised
//!
//! With [`Durability::Process`] a commit survives the end of the process, with
//! [`Durability::Power`] also a power cut. With `Process`, a power cut may lose the newest commits,
//! and may leave a log that is refused; [`Store::era`] tells. Checkpoints are always made durable.

mod batch;
mod blobs;
mod catalog;
mod checkpoint;
mod checksum;
mod clean;
mod clerk;
mod commit;
mod config;
mod disk;
mod entry;
mod era;
mod error;
mod format;
pub mod limits;
mod memory;
mod open;
mod pending;
mod position;
mod read;
mod real;
mod retain;
mod rooms;
mod salvage;
mod scan;
mod segment;
mod shared;
mod staging;
mod storage;
mod store;
mod survey;
mod tools;
mod transfer;

pub use blobs::DiskBlobs;
pub use config::{Config, Durability};
pub use disk::{Disk, DiskFile};
pub use error::Error;
pub use memory::{Crash, MemoryDisk, MemoryFile};
pub use real::{RealDisk, RealFile};
pub use retain::Retention;
pub use salvage::{Salvage, Salvaged, salvage};
pub use shared::{Shared, Upkeep};
pub use staging::{Staged, Staging};
pub use storage::{Checkpoint, Record, SessionId, SessionInfo, Stats, Storage, Stored};
pub use store::{DiskStore, MemoryStore, Store};
pub use tools::{Report, check, list};
pub use transfer::{export, import, insert, load};
