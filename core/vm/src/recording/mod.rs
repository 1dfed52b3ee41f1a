//! Recordings: a state and the inputs that came after it, to be played again on any machine.
//!
//! | part | is |
//! |---|---|
//! | [`Recording`] | a state, the inputs after it, and where it ends |
//! | [`Head`] | the session and the program that a recording is of |
//! | [`Player`] | plays a recording, event by event, up to some point |
//! | [`Encoder`] | writes a recording piece by piece while the session goes on |
//! | [`to_file`], [`of_file`] | files that are written in one go, with a mark and a checksum |
//!
//! The file of a recording can be read at any time, up to the last whole piece: see
//! [`Recording::decode_part`]. Nothing in it is encrypted, even if the session has a password.

mod blocks;
mod content;
mod error;
mod file;
mod head;
mod player;

pub use blocks::{Encoder, FORMAT, MARK};
pub use content::Recording;
pub use error::{RecordingError, TruncatedError};
pub use file::{Mark, of_file, to_file};
pub use head::Head;
pub use player::{Player, Until};

pub use crate::external::Input;
