//! Whether a reflector has a storage.
//!
//! Two modules have the same type: `optional` in a build with the feature `storage`, `never` in one without, where the
//! compiler leaves out all that only a storage needs.

#[cfg(not(feature = "storage"))]
mod never;
#[cfg(feature = "storage")]
mod optional;

#[cfg(not(feature = "storage"))]
pub(crate) use never::HasStorage;
#[cfg(feature = "storage")]
pub(crate) use optional::HasStorage;
