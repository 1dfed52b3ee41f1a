//! What works on the directory of a store that is not open, or beside one that is.

pub(crate) mod records;
pub(crate) mod rollback;
pub(crate) mod salvage;
pub(crate) mod stream;
pub(crate) mod tools;
pub(crate) mod transfer;
