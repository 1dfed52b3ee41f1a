//! The tests of `teatime`, in one binary: linking one takes as long as linking one of many.

#[cfg(feature = "blobs")]
mod blobs;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod persisted;
mod recording;
mod session;
