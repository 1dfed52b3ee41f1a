//! The tests of `teatime-blobs`, in one binary: linking one takes as long as linking one of many.

mod protocol;
mod transfer;
mod vault;
