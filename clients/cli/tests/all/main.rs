//! The tests of `teatime-cli`, in one binary: linking one takes as long as linking one of many.

mod acceptance;
mod blobs;
mod branching;
mod durable;
mod new;
mod operation;
mod passwords;
mod presence;
mod recording;
mod refused_recordings;
mod support;
mod tls;
mod usage;
mod versions;
