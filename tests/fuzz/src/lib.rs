//! Feeds every decoder with invalid and unusual bytes.
//!
//! Each target is a function that takes any bytes. It panics if a promise does not hold: what is decoded and encoded is
//! decoded again to the same, and so on. Ordinary tests run each target with the files of `corpus/TARGET` and
//! `crashes/TARGET`. `tests/fuzz/run` searches for further inputs.
//!
//! | folder | has |
//! |---|---|
//! | `corpus` | real messages and files, from which the search starts: written by the program `fuzz-seeds` |
//! | `crashes` | inputs that have broken a promise once |

mod blobs;
mod client;
mod diary;
mod frame;
mod link;
mod memory;
mod recording;
pub mod seeds;
mod server;
mod snapshot;
mod store;
mod tape;

/// Something that reads bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its folders.
    pub name: &'static str,
    run: fn(&[u8]),
    /// Most memory that an input may take, in bytes, besides [`BYTES_PER_BYTE`].
    memory: usize,
}

const MIB: usize = 1024 * 1024;

/// Most memory for each byte of an input. A decoded entry takes more than its bytes, and a target holds what it has
/// decoded several times, to compare it.
const BYTES_PER_BYTE: usize = 256;

/// All targets. A list reserves up to 1 MiB before its entries are read, and some lists are in others.
pub const TARGETS: [Target; 8] = [
    Target { name: "frame", run: frame::run, memory: 4 * MIB },
    Target { name: "client", run: client::run, memory: 8 * MIB },
    Target { name: "server", run: server::run, memory: 8 * MIB },
    Target { name: "blobs", run: blobs::run, memory: 4 * MIB },
    Target { name: "snapshot", run: snapshot::run, memory: 8 * MIB },
    Target { name: "link", run: link::run, memory: MIB },
    Target { name: "store", run: store::run, memory: 4 * MIB },
    Target { name: "recording", run: recording::run, memory: 8 * MIB },
];

/// Prints nothing when a handler of the model panics: a session notices that, and goes on.
pub fn silence_models() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_model = |place: &std::panic::Location<'_>| place.file().ends_with("diary.rs");
        if !panic.location().is_some_and(is_model) {
            usual(panic);
        }
    }));
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Runs it with these bytes.
    ///
    /// # Panics
    /// If a promise does not hold.
    pub fn run(&self, bytes: &[u8]) {
        let taken = memory::taken_by(|| (self.run)(bytes));
        let most = self.memory + BYTES_PER_BYTE * bytes.len();
        assert!(
            taken <= most,
            "{} bytes of input took {taken} bytes, more than {most}",
            bytes.len()
        );
    }
}
