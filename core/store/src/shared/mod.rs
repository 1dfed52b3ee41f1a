//! A store that the reflectors of a server share, each on a thread of its own.

pub(crate) mod core;
pub(crate) mod jobs;
pub(crate) mod mailbox;
pub(crate) mod queue;
#[expect(clippy::module_inception, reason = "the file has the type `Shared`")]
pub(crate) mod shared;
pub(crate) mod threads;
pub(crate) mod turn;
