//! The shared ground of Teatime: ids, the keys of a room, and end-to-end encryption.
//!
//! | part | is |
//! |---|---|
//! | [`SessionId`], [`ViewId`], [`Digest`], [`StateHash`] | ids and hashes, each a type of its own |
//! | [`SecretKey`], [`PublicKey`], [`Signature`] | with which a client proves who it is |
//! | [`RoomKeys`] | the keys that follow from an app, the name of a room, and its password |
//! | [`Seal`], [`Binding`] | sealing and opening of the messages of a session |
//! | [`seal_large`], [`open_large`] | the cipher for contents with a key of their own, such as chunks of blobs |
//!
//! Nothing here does I/O, reads a clock or draws random numbers: the caller supplies random bytes.

mod cipher;
mod ids;
mod proof;
mod room;
mod seal;

pub use cipher::{NONCE, TAG, open_large, seal_large};
pub use ids::{Digest, InvalidIdError, PublicKey, SessionId, Signature, StateHash, ViewId};
pub use proof::SecretKey;
pub use room::{RoomKeys, program, room_id};
pub use seal::{Binding, BrokenSealError, Seal};
