//! The tests of `teatime-wire`, in one binary: linking one takes as long as linking one of many.

mod blobs;
mod envelope;
mod ids;
mod proof;
mod robustness;
mod vectors;
