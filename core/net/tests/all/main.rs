//! The tests of `teatime-net`, in one binary: linking one takes as long as linking one of many.

#[cfg(feature = "blobs")]
mod blobs;
#[cfg(feature = "blobs")]
mod cuts;
mod eavesdropper;
#[cfg(feature = "tls")]
mod relay;
mod rooms;
mod server;
mod storage;
mod strangers;
mod support;
