//! A store that is open: what lives in its log, and how that changes.

pub(crate) mod catalog;
pub(crate) mod clean;
pub(crate) mod commit;
pub(crate) mod end;
pub(crate) mod era;
pub(crate) mod history;
pub(crate) mod item;
pub(crate) mod open;
pub(crate) mod pending;
pub(crate) mod read;
pub(crate) mod retain;
pub(crate) mod segments;
pub(crate) mod staging;
#[expect(clippy::module_inception, reason = "the file has the type `Store`")]
pub(crate) mod store;
pub(crate) mod survey;
pub(crate) mod trash;
