//! Large blobs beside a session: both sides of a transfer as state machines, and what a server keeps.
//!
//! A photo does not belong in the event log, which every late joiner replays. It is *stored* beside it, in
//! chunks, and a [`BlobHandle`] stands for it in models and events. Whoever has the handle, and is in
//! the same room with the same password, *fetches* it.
//!
//! [`Space`] has the keys of a room's blobs. [`Upload`] and [`Download`] are the client's side,
//! [`Serving`] is the server's, over a [`Vault`], which knows what is kept in some [`ChunkFiles`].
//! Nothing here does I/O or looks at a clock.
//!
//! A client believes no server: every chunk has the hash that stands in the manifest, the manifest has
//! the one that stands in the handle, and the handle carries the mark of its space. So nothing wrong is
//! ever handed out, and nothing short of the end is taken for all of it.

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
pub use handle::{BadHandle, BlobHandle};
pub use serving::Serving;
pub use space::Space;
pub use upload::Upload;
pub use vault::Vault;
