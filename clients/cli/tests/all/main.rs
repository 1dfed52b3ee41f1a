//! The tests of `teatime-cli`, in one binary: linking one takes as long as linking one of many.

mod acceptance;
mod blobs;
mod branching;
mod conformance;
mod doctor;
mod durable;
mod new;
mod operation;
mod outside;
mod passwords;
mod presence;
mod proxies;
mod recording;
mod refused_recordings;
mod service;
mod strangers;
mod support;
#[cfg(unix)]
mod terminal;
mod tls;
mod usage;
mod versions;
