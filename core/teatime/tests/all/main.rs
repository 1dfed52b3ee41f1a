//! The tests of `teatime`, in one binary: linking one takes as long as linking one of many.

#[cfg(feature = "blobs")]
mod blobs;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod cold;
#[cfg(feature = "blobs")]
mod disagreement;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod forgotten;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod gate;
#[cfg(feature = "blobs")]
mod peer;
#[cfg(all(feature = "blobs", feature = "storage"))]
mod persisted;
mod recording;
mod running;
mod session;
mod stream;
