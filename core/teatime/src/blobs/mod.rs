//! Large blobs beside a session: stored once, fetched by whoever needs them, and never in the event log.
//!
//! ```no_run
//! use teatime::blobs::Blobs;
//! # fn example(config: teatime::Config) -> Result<(), Box<dyn std::error::Error>> {
//! let data = Blobs::new(&config, "ws://127.0.0.1:9090")?;
//! let photo = data.store(b"a photo")?;
//! // Now publish an event with `photo` in it; whoever gets it does this:
//! assert_eq!(data.fetch(photo)?, b"a photo");
//! # Ok(())
//! # }
//! ```
//!
//! Most of this takes as long as it takes: call it on a thread that has the time, or have a [`Transfer`] do that.

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

use crate::driver::JoinError;
use crate::link::reflector_address;
use cache::Cache;
use part::Part;

/// Largest blob in bytes that can be expressed; servers may take less.
pub const MAX_BLOB: u64 = teatime_blobs::limits::MAX_BLOB;

/// The blobs of a room. Whoever has the same app, room and password has the same ones, whatever the version
/// of its models. Clones share everything.
#[derive(Clone)]
pub struct Blobs {
    remote: Remote,
    space: Arc<Space>,
    cache: Option<Arc<Cache>>,
}

impl Blobs {
    /// The blobs of the room that this configuration leads to, through this reflector. With a password this
    /// takes some 30 ms of CPU.
    ///
    /// # Errors
    /// If the configuration or the address is wrong.
    pub fn new(config: &Config, reflector: &str) -> Result<Self, JoinError> {
        config.check()?;
        let url = reflector_address(reflector)?;
        let trust = Trust::new(config.trusted_certificates.as_deref())?;
        let space = Space::new(config.app.id(), &config.name, config.password.as_deref());
        Ok(Self { remote: Remote { url, trust }, space: Arc::new(space), cache: None })
    }

    /// Keeps what is fetched in a directory, at most so many bytes, as the server has it: sealed if there is
    /// a password.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn with_cache(mut self, directory: &Path, max_bytes: u64) -> io::Result<Self> {
        self.cache = Some(Arc::new(Cache::open(directory, max_bytes)?));
        Ok(self)
    }

    /// Stores a blob, and returns what stands for it in models and events.
    ///
    /// # Errors
    /// Whatever keeps it from being stored whole.
    pub fn store(&self, mut content: &[u8]) -> Result<BlobHandle, BlobError> {
        self.store_from(content.len() as u64, &mut content, &mut go_on)
    }

    /// Stores what a source has, which must be exactly so many bytes, and holds no more of it than some
    /// chunks. `watch` is told how far it is, some ten times a second, and may end it. What has
    /// arrived when it ends early is not sent again the next time.
    ///
    /// # Errors
    /// Whatever keeps it from being stored whole.
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
    /// Whatever keeps it from being stored whole; if the file cannot be read, or is none, [`BlobError::Local`].
    pub fn store_file(&self, file: &Path, watch: &mut Watch<'_>) -> Result<BlobHandle, BlobError> {
        // Looked at before it is opened: that would wait for whoever writes to a pipe.
        let data = file.metadata().map_err(|error| local(file, &error))?;
        if !data.is_file() {
            // Of a pipe or a device it is not known how long it is.
            return Err(BlobError::Local(format!("{}: it is no plain file", file.display())));
        }
        let mut source = File::open(file).map_err(|error| local(file, &error))?;
        let data = source.metadata().map_err(|error| local(file, &error))?;
        self.store_from(data.len(), &mut source, watch).map_err(|error| named(file, error))
    }

    /// Fetches a blob whole.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched whole.
    pub fn fetch(&self, handle: BlobHandle) -> Result<Vec<u8>, BlobError> {
        let mut content = Vec::new();
        self.fetch_into(handle, &mut content, &mut go_on)?;
        Ok(content)
    }

    /// Fetches a blob, and writes it to a target from its beginning on, piece by piece, each after it has been
    /// proved right. So after an error the target has a beginning of the blob, and nothing else. `watch`
    /// is told how far it is, some ten times a second, and may end it.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched whole.
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

    /// Fetches a blob into a file, which is there whole in the end, or as it was before.
    ///
    /// What has arrived when it ends early, cancelled or not, stays beside it, in a file of its name, some digits
    /// and `.part`: whoever fetches the same blob into the same file goes on there. It is removed only if nobody
    /// can: after [`BlobError::Unknown`], [`BlobError::WrongBytes`], [`BlobError::OtherSession`]. If the blob is
    /// not wanted any more, remove `FILE.*.part`. Who fetches a blob into a file into which it is being fetched
    /// already waits for that, where files can be locked; elsewhere one of both may fail.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched whole; if the file cannot be written, [`BlobError::Local`].
    pub fn fetch_file(
        &self,
        handle: BlobHandle,
        file: &Path,
        watch: &mut Watch<'_>,
    ) -> Result<(), BlobError> {
        if !self.owns(&handle) {
            return Err(BlobError::OtherSession);
        }
        // A device or a pipe would be replaced, and a directory be found in the way at the end.
        if file.metadata().is_ok_and(|there| !there.is_file()) {
            return Err(BlobError::Local(format!("{}: it is no plain file", file.display())));
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

    /// What the server takes of this room now: the largest blob, and how many bytes still fit, those included
    /// that surround what is sealed.
    ///
    /// # Errors
    /// Whatever keeps it from being asked.
    pub fn limits(&self) -> Result<BlobLimits, BlobError> {
        limits(&self.remote, &self.space)
    }

    /// The same as [`store_from`](Self::store_from) on a thread of its own. `waker` is called from there when
    /// there is progress, and at the end.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start_store(
        &self,
        size: u64,
        mut source: impl Read + Send + 'static,
        waker: Waker,
    ) -> io::Result<Transfer<BlobHandle>> {
        let data = self.clone();
        Transfer::start(waker, move |watch| data.store_from(size, &mut source, watch))
    }

    /// The same as [`fetch`](Self::fetch) on a thread of its own. `waker` is called from there when there is
    /// progress, and at the end.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start_fetch(&self, handle: BlobHandle, waker: Waker) -> io::Result<Transfer<Vec<u8>>> {
        let data = self.clone();
        Transfer::start(waker, move |watch| {
            let mut content = Vec::new();
            data.fetch_into(handle, &mut content, watch).map(|()| content)
        })
    }

    /// Whether a handle belongs to this room, and to its password. The server is not asked.
    pub fn owns(&self, handle: &BlobHandle) -> bool {
        self.space.owns(handle)
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Whether nobody will ever get it whole.
fn is_for_good(error: &BlobError) -> bool {
    matches!(error, BlobError::Unknown | BlobError::WrongBytes | BlobError::OtherSession)
}

/// Says of which file it is.
fn named(file: &Path, error: BlobError) -> BlobError {
    match error {
        BlobError::Local(why) => BlobError::Local(format!("{}: {why}", file.display())),
        other => other,
    }
}

pub(crate) fn local(file: &Path, error: &io::Error) -> BlobError {
    BlobError::Local(format!("{}: {error}", file.display()))
}
