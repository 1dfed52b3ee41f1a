//! What every part of Teatime shares: ids, the keys of a room, and end-to-end encryption.
//!
//! Nothing here does I/O, reads a clock or draws random numbers.

mod cipher;
mod ids;
mod room;
mod seal;

pub use cipher::{NONCE, TAG, open_large, seal_large};
pub use ids::{Digest, InvalidId, SessionId, StateHash, ViewId, ViewSecret};
pub use room::RoomKeys;
pub use seal::{Binding, BrokenSeal, Seal};
