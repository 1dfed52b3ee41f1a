//! The tests of `teatime-store`, in one binary: linking one takes as long as linking one of many.

mod beside;
mod blob_retention;
mod blobs;
mod claims;
mod common;
mod damage;
mod disk;
mod eras;
mod failures;
mod going_back;
mod histories;
mod reflector;
mod rooms;
mod salvage;
mod shared;
mod versions;
