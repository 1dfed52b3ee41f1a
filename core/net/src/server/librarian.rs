//! The thread that stores blobs, as the rest of the server sees it.
//!
//! Two modules have the same items: `present` in a build with the feature `blobs`, `absent` in one without. All other
//! code uses these items, and does not ask which build it is.

#[cfg(not(feature = "blobs"))]
mod absent;
#[cfg(feature = "blobs")]
mod present;

#[cfg(not(feature = "blobs"))]
use absent as chosen;
#[cfg(feature = "blobs")]
use present as chosen;

pub(super) use chosen::{BlobThread, HAS_BLOBS, Librarian, OptionalBlobs};
