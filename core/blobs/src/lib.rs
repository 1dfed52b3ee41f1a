//! Large blobs beside a session: both sides of a transfer as state machines, and the vault of a server.
//!
//! A photo does not belong in the event log, because each late joiner replays the log. Instead a client *stores*
//! it beside the session, in chunks. A [`BlobHandle`] stands for it in models and events. A client that has the
//! handle, and is in the same room with the same password, *fetches* it.
//!
//! | part | is |
//! |---|---|
//! | [`BlobHandle`] | stands for a blob in models and events |
//! | [`Space`] | the keys to the blobs of a room |
//! | [`Upload`], [`Download`] | the client's side of a transfer |
//! | [`Serving`] | the server's side of a connection |
//! | [`Vault`], [`VaultLimits`] | the blobs of a server: stores them, and removes those that no session needs |
//! | [`ChunkFiles`] | where a vault stores its files; [`MemoryFiles`] is in memory |
//! | [`check()`] | checks stored files without changing them |
//!
//! Nothing here does I/O or reads a clock.
//!
//! A client trusts no server. The handle carries the mark of its space and the hash of the manifest, and the
//! manifest has the hash of each chunk. So a client never hands out wrong content, and never takes a part of a
//! blob for all of it.

mod capacity;
mod check;
mod download;
mod error;
mod files;
mod handle;
mod holders;
pub mod limits;
mod manifest;
mod serving;
mod space;
mod upload;
mod vault;

pub use capacity::{VaultLimits, VaultUse};
pub use check::{VaultCheck, check};
pub use download::Download;
pub use error::{BlobError, Progress};
pub use files::{ChunkFiles, ChunkName, Kind, MemoryFiles};
pub use handle::{BlobHandle, InvalidHandleError};
pub use serving::Serving;
pub use space::Space;
pub use upload::Upload;
pub use vault::{Completion, Vault};
