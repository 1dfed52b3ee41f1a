//! Large blobs beside a session: stored once, fetched by the clients that need them, and never in the event log.
//!
//! ```no_run
//! use teatime::blobs::Blobs;
//! # fn example(config: teatime::Config) -> Result<(), Box<dyn std::error::Error>> {
//! let blobs = Blobs::new(&config, "ws://127.0.0.1:9090")?;
//! let photo = blobs.store(b"a photo")?;
//! // Publish an event with `photo` in it. A client that gets the event does this:
//! assert_eq!(blobs.fetch(photo)?, b"a photo");
//! # Ok(())
//! # }
//! ```
//!
//! Most functions here block until the transfer ends. Call them on a thread of your own, or start a [`Transfer`].

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

mod cache;
mod part;
mod transfer;

use teatime_blobs::Space;
pub use teatime_blobs::{BlobError, BlobHandle, InvalidHandleError, Progress};
use teatime_net::blobs::{Remote, Watch, fetch, limits, store};
use teatime_net::client::Waker;
use teatime_net::tls::Trust;
use teatime_session::Config;
pub use teatime_wire::BlobLimits;
pub use transfer::Transfer;

use crate::address::reflector_address;
use crate::driver::JoinError;
use cache::Cache;
use part::Part;

/// The largest blob in bytes that the format allows. Servers may accept less.
pub const MAX_BLOB: u64 = teatime_blobs::limits::MAX_BLOB;

/// The blobs of a room. All clients with the same app, room and password share them, whatever the version of their
/// models. Clones share everything.
#[derive(Clone)]
pub struct Blobs {
    remote: Remote,
    space: Arc<Space>,
    cache: Option<Arc<Cache>>,
}

/// Without the keys of the room.
impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs")
            .field("remote", &self.remote)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Blobs {
    /// The blobs of the room of this configuration, at this reflector. With a password this takes about 30 ms of CPU
    /// time, to derive the keys.
    ///
    /// # Errors
    /// The configuration, the address or the certificates are not valid.
    pub fn new(config: &Config, reflector: &str) -> Result<Self, JoinError> {
        config.check()?;
        let url = reflector_address(reflector)?;
        let trust = Trust::new(config.trusted_certificates.as_deref())?;
        let space = Space::new(config.app.id(), &config.name, config.password.as_deref());
        Ok(Self { remote: Remote { url, trust }, space: Arc::new(space), cache: None })
    }

    /// Caches fetched pieces in a directory, with at most `max_bytes` bytes. If there is a password, the pieces are
    /// sealed, as the server has them.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn with_cache(mut self, directory: &Path, max_bytes: u64) -> io::Result<Self> {
        self.cache = Some(Arc::new(Cache::open(directory, max_bytes)?));
        Ok(self)
    }

    /// Stores a blob, and returns its handle for models and events.
    ///
    /// # Errors
    /// Why the blob could not be stored whole.
    pub fn store(&self, mut content: &[u8]) -> Result<BlobHandle, BlobError> {
        self.store_from(content.len() as u64, &mut content, &mut go_on)
    }

    /// Stores the content of a source, which must have exactly `size` bytes. Only a few chunks of it are in memory at a
    /// time. `watch` gets the progress about ten times a second and may cancel the transfer. A later transfer of the
    /// same content does not send again what has arrived.
    ///
    /// # Errors
    /// Why the blob could not be stored whole.
    pub fn store_from(
        &self,
        size: u64,
        source: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<BlobHandle, BlobError> {
        store(&self.remote, &self.space, size, source, watch)
    }

    /// Stores a file.
    ///
    /// # Errors
    /// Why the blob could not be stored whole. [`BlobError::Local`] if the file cannot be read or is not a plain file.
    pub fn store_file(&self, file: &Path, watch: &mut Watch<'_>) -> Result<BlobHandle, BlobError> {
        // Checked before the file is opened: opening a pipe would wait for its writer.
        let found = file.metadata().map_err(|error| local(file, &error))?;
        if !found.is_file() {
            // A pipe or a device does not say how long it is.
            return Err(BlobError::Local(format!("{}: not a plain file", file.display())));
        }
        let mut source = File::open(file).map_err(|error| local(file, &error))?;
        let size = source.metadata().map_err(|error| local(file, &error))?.len();
        self.store_from(size, &mut source, watch).map_err(|error| named(file, error))
    }

    /// Fetches a blob into memory.
    ///
    /// # Errors
    /// Why the blob could not be fetched whole.
    pub fn fetch(&self, handle: BlobHandle) -> Result<Vec<u8>, BlobError> {
        let mut content = Vec::new();
        self.fetch_into(handle, &mut content, &mut go_on)?;
        Ok(content)
    }

    /// Fetches a blob and writes it to a target, piece by piece from its beginning. Each piece is checked before it is
    /// written. So after an error the target has a beginning of the blob and nothing else. `watch` gets the progress
    /// about ten times a second and may cancel the transfer.
    ///
    /// # Errors
    /// Why the blob could not be fetched whole.
    pub fn fetch_into(
        &self,
        handle: BlobHandle,
        target: &mut dyn Write,
        watch: &mut Watch<'_>,
    ) -> Result<(), BlobError> {
        match &self.cache {
            Some(cache) => fetch(&self.remote, &self.space, handle, &mut &**cache, target, watch),
            None => fetch(&self.remote, &self.space, handle, &mut (), target, watch),
        }
    }

    /// Fetches a blob into a file. In the end the file has the whole blob, or it is as it was before.
    ///
    /// A transfer that ends early, cancelled or not, leaves what has arrived in a file beside it, with the name of the
    /// file, some digits and `.part`. The next transfer of the same blob into the same file continues there. The `.part`
    /// file is deleted only if the blob cannot be fetched at all: after [`BlobError::Unknown`],
    /// [`BlobError::WrongBytes`] and [`BlobError::OtherSession`]. Delete `FILE.*.part` if you no longer need the blob.
    ///
    /// Two transfers of one blob into one file take turns if the file system can lock files. Otherwise one of them may
    /// fail.
    ///
    /// # Errors
    /// Why the blob could not be fetched whole. [`BlobError::Local`] if the file cannot be written.
    pub fn fetch_file(
        &self,
        handle: BlobHandle,
        file: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<(), BlobError> {
        if !self.owns(&handle) {
            return Err(BlobError::OtherSession);
        }
        // A device or a pipe would be replaced, and a directory would fail only at the end.
        if file.metadata().is_ok_and(|there| !there.is_file()) {
            return Err(BlobError::Local(format!("{}: not a plain file", file.display())));
        }
        let nothing = Progress { done: 0, total: handle.size() };
        let part = Part::open(file, &handle, || match watch(nothing) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(BlobError::Cancelled),
        })?;
        let mut begun = part.begun(&self.space, self.cache.as_deref());
        let mut target = part.target();
        let fetched = fetch(&self.remote, &self.space, handle, &mut begun, &mut target, watch);
        drop(target);
        match fetched {
            Ok(()) => part.finish(handle.size(), file).map_err(|error| local(file, &error)),
            Err(error) => {
                part.give_up(is_for_good(&error));
                Err(named(file, error))
            }
        }
    }

    /// What the server accepts for this room now: the largest blob, and the bytes that still fit. The overhead of sealing
    /// counts.
    ///
    /// # Errors
    /// Why the server could not be asked.
    pub fn limits(&self) -> Result<BlobLimits, BlobError> {
        limits(&self.remote, &self.space)
    }

    /// Like [`store_from`](Self::store_from), on a thread of its own, which calls `waker` when there is progress, and at
    /// the end.
    ///
    /// # Errors
    /// The operating system refused the thread.
    pub fn start_store(
        &self,
        size: u64,
        mut source: impl Read + Send + 'static,
        waker: Waker,
    ) -> io::Result<Transfer<BlobHandle>> {
        let blobs = self.clone();
        Transfer::start(waker, move |watch| blobs.store_from(size, &mut source, watch))
    }

    /// Like [`fetch`](Self::fetch), on a thread of its own, which calls `waker` when there is progress, and at the end.
    ///
    /// # Errors
    /// The operating system refused the thread.
    pub fn start_fetch(&self, handle: BlobHandle, waker: Waker) -> io::Result<Transfer<Vec<u8>>> {
        let blobs = self.clone();
        Transfer::start(waker, move |watch| {
            let mut content = Vec::new();
            blobs.fetch_into(handle, &mut content, watch).map(|()| content)
        })
    }

    /// Whether a handle belongs to this room and its password. This does not ask the server.
    pub fn owns(&self, handle: &BlobHandle) -> bool {
        self.space.owns(handle)
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Whether no later transfer can succeed.
fn is_for_good(error: &BlobError) -> bool {
    matches!(error, BlobError::Unknown | BlobError::WrongBytes | BlobError::OtherSession)
}

/// Adds the name of the file.
fn named(file: &Path, error: BlobError) -> BlobError {
    match error {
        BlobError::Local(why) => BlobError::Local(format!("{}: {why}", file.display())),
        other => other,
    }
}

pub(crate) fn local(file: &Path, error: &io::Error) -> BlobError {
    BlobError::Local(format!("{}: {error}", file.display()))
}
