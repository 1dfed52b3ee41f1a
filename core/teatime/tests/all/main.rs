//! The tests of `teatime`, in one binary: linking one takes as long as linking one of many.

#[cfg(feature = "blobs")]
mod blobs;
#[cfg(feature = "blobs")]
mod peer;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod persisted;
mod recording;
mod session;
