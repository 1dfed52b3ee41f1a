//! The storage of a server, as the rest of the server sees it.
//!
//! Two modules have the same items: `present` in a build with the feature `storage`, `absent` in one without. All other
//! code uses these items, and does not ask which build it is. Apps that only host sessions for their neighbours do not
//! carry the code that reads stored ones.

#[cfg(not(feature = "storage"))]
mod absent;
#[cfg(feature = "storage")]
mod present;

#[cfg(not(feature = "storage"))]
use absent as chosen;
#[cfg(feature = "storage")]
use present as chosen;

#[cfg(feature = "storage")]
pub use present::SharedStorage;

pub(super) use chosen::{Handle, OptionalStorage, keep_shares, read_shares};
