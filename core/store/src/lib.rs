//! What a reflector stores on disk, so that a crash loses nothing that a client has seen.
//!
//! A [`Store`] stores sessions and rooms, each under its [`Key`]. A session has a *head* (what it
//! began with), at most one *checkpoint* (it stands for everything up to its sequence number) and
//! the *records* after it; a room has only a checkpoint, its persisted data. All of them are opaque
//! bytes, except that the store reads from a head which room the session belongs to. What a new
//! checkpoint of a session replaces can be retained, so that the session can go back to it: its
//! *history*, the checkpoint before and the records between the two. Changes gather
//! until [`Store::commit`] writes them with one system call for all sessions. A reflector tells its
//! clients nothing that depends on them before that.
//!
//! [`DiskStore`] stores them in a directory, [`MemoryStore`] in memory: the same code on a
//! [`MemoryDisk`], which can fail, fill up, tear writes and crash like a real one. [`Shared`] lets
//! the reflectors of a server share a store, so that none of them waits for the disk.
//!
//! ```
//! use teatime_reflector::storage::RecordKind::Ordered;
//! use teatime_store::{Config, Key, MemoryDisk, MemoryStore};
//! use teatime_wire::SessionId;
//!
//! let disk = MemoryDisk::default();
//! let mut store = MemoryStore::open(disk.clone(), Config::default())?;
//! let session = Key::Session(SessionId([7; 32]));
//! store.begin(session, b"head")?;
//! store.append(session, 1, Ordered, b"first")?;
//! store.append(session, 2, Ordered, b"second")?;
//! store.commit()?;
//! store.checkpoint(session, 1, b"state after the first")?;
//! drop(store);
//!
//! let store = MemoryStore::open(disk, Config::default())?;
//! let stored = store.load(session)?.expect("it was committed");
//! assert_eq!(stored.head, &b"head"[..]);
//! assert_eq!(stored.checkpoint.expect("it has one").bytes, &b"state after the first"[..]);
//! assert_eq!(stored.records.len(), 1);
//! # Ok::<(), teatime_store::Error>(())
//! ```
//!
//! # What is on disk
//!
//! | | |
//! |---|---|
//! | `LOCK` | locked while a store is open: a second one is refused |
//! | `FORMAT` | the version of all this, and the id of the store |
//! | `ERA` | whether a power cut may have lost something: see [`Store::era`] |
//! | `log/NNNNNNNNNN.seg` | segments: only ever appended to, and deleted from the oldest on |
//! | `checkpoints/session-ID-INDEX.ckpt` | the bytes of a checkpoint of a session, nothing else; at most two of them count |
//! | `checkpoints/room-NAME-ID-INDEX.ckpt` | the persisted data of a room |
//! | `blobs/SPACE-ID.chunk`, `.blob` | chunks of blobs, and the list of chunks of a blob: see [`DiskBlobs`] |
//! | `blobs/SPACE-SESSION.refs` | which blobs the state of a session refers to |
//!
//! **The log wins.** Heads, records, removals, and which checkpoint counts are entries of the
//! log. The entry of a checkpoint has the length and checksum of its file. Opening a store deletes
//! files that no entry names. An entry whose file is missing is corruption, because no crash leaves
//! one: the file is durable before its entry is written, and the file before it is deleted only
//! after that entry is durable.
//!
//! **History.** The entry of a checkpoint names its file, and the file that it has replaced if the
//! history back to that one is retained. That file, its entry, and the records between the two live
//! on. The newest entry of a session counts. A later entry for the same file tells for how long the
//! history is still retained, or that it is not; one for the older file goes back to that. So going
//! back is one entry, and no record is written again.
//!
//! **A commit is all or nothing.** Its entries follow one header with their number and length. A
//! crash can tear the last commit of the newest segment and no other, so damage there, and only
//! there, is cut off and logged as a warning. A flipped bit in that last commit looks exactly like
//! a torn write, so it is cut off too. Any other damage is refused with [`Error::Corrupt`]. Damage
//! counts as the last if no valid header of a commit follows.
//!
//! **Garbage.** When more than [`Config::garbage_percent`] of the log is garbage, commits carry
//! living entries of the oldest segment forward, a bounded number of bytes each, until nothing in
//! it lives. Then it is deleted. So an idle session does not pin a segment.
//!
//! # What is promised
//!
//! With [`Durability::Process`] a commit survives the end of the process, with
//! [`Durability::Power`] also a power cut. With `Process`, a power cut may lose the newest commits,
//! and may leave a log that is refused; [`Store::era`] tells. Checkpoints and persisted data are
//! always durable.

mod blobs;
mod config;
mod disk;
mod error;
pub mod limits;
mod log;
mod offline;
mod shared;
mod store;

pub use blobs::DiskBlobs;
pub use config::{Config, Durability};
pub use disk::disk::{Disk, DiskFile};
pub use disk::memory::{Crash, MemoryDisk, MemoryFile};
pub use disk::real::{RealDisk, RealFile};
pub use error::Error;
pub use offline::records::{records, remove_record};
pub use offline::rollback::{Rollback, plan_rollback, rollback};
pub use offline::salvage::{Salvage, Salvaged, salvage};
pub use offline::tools::{Report, check, list};
pub use offline::transfer::{export, import, insert, load, new_session};
pub use shared::core::StoreGuard;
pub use shared::shared::Shared;
pub use shared::threads::Upkeep;
pub use store::catalog::Stats;
pub use store::item::Info;
pub use store::retain::Retention;
pub use store::staging::{Staged, Staging};
pub use store::store::{DiskStore, MemoryStore, Store};
pub use teatime_reflector::RecordInfo;
pub use teatime_reflector::storage::{Key, RoomId};
