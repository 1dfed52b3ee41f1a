//! Blobs beside a session.

use std::sync::{Arc, Mutex, PoisonError};

use teatime::Config;
use teatime::blobs::{BlobHandle, Blobs as RoomBlobs};

use super::session::{Session, Waker, callback};
use super::{JoinOptions, Result};
use crate::transfer::{Job, SharedTransfer, handle_of};

/// What a cache of pieces of blobs may hold if nothing is said.
const CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// The blobs of a session's room: their keys are derived when they are used for the first time.
pub(super) struct Blobs(Mutex<State>);

enum State {
    Unused { config: Box<Config>, reflector: String, cache: Option<(String, u64)> },
    Used(RoomBlobs),
}

impl Blobs {
    pub(super) fn new(config: Config, options: &JoinOptions) -> Self {
        let bytes = options.blob_cache_bytes.unwrap_or(CACHE_BYTES);
        let cache = options.blob_cache_dir.clone().map(|directory| (directory, bytes));
        let (config, reflector) = (Box::new(config), options.reflector.clone());
        Self(Mutex::new(State::Unused { config, reflector, cache }))
    }

    fn of_room(&self) -> crate::status::Result<RoomBlobs> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = match &*state {
            State::Used(blobs) => return Ok(blobs.clone()),
            State::Unused { config, reflector, cache } => {
                let blobs = RoomBlobs::new(config, reflector)?;
                match cache {
                    Some((directory, bytes)) => {
                        crate::blobs::with_cache(&blobs, directory, *bytes)?
                    }
                    None => blobs,
                }
            }
        };
        *state = State::Used(blobs.clone());
        Ok(blobs)
    }

    fn start(&self, job: Job) -> Result<Arc<Transfer>> {
        Ok(Arc::new(Transfer(SharedTransfer::start(self.of_room()?, job)?)))
    }
}

#[uniffi::export]
impl Session {
    /// Starts to store bytes.
    pub fn store_bytes(&self, content: &[u8]) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::Store(content.to_vec()))
    }

    /// Starts to store a file, of which only a few pieces are in memory at a time.
    pub fn store_file(&self, file: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::StoreFile(file.into()))
    }

    /// Starts to fetch the blob with this handle.
    pub fn fetch_bytes(&self, handle: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::Fetch(handle_of(handle)?))
    }

    /// Starts to fetch the blob with this handle into a file, which is there whole in the end, or as it
    /// was before. What has arrived when it ends early stays beside it, in a file of its name, some
    /// digits and `.part`: who fetches the same blob into the same file goes on there, or waits while
    /// somebody else does that. It is removed if nobody can ever go on.
    pub fn fetch_file(&self, handle: &str, file: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::FetchFile(handle_of(handle)?, file.into()))
    }

    /// Whether a handle belongs to the session's room, and to its password.
    pub fn owns_blob(&self, handle: &str) -> Result<bool> {
        let handle: BlobHandle = handle_of(handle)?;
        Ok(self.blobs.of_room()?.owns(&handle))
    }
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct TransferProgress {
    /// Bytes of the blob that are where they shall be.
    pub done: u64,
    /// Bytes of the blob; 0 as long as nothing has begun.
    pub total: u64,
}

/// A blob on its way. It is cancelled when nobody holds this any more.
#[derive(uniffi::Object)]
pub struct Transfer(SharedTransfer);

#[uniffi::export]
impl Transfer {
    /// Sets who is told that there is progress, and that it is over. He is told once at once.
    pub fn set_waker(&self, waker: Option<Box<dyn Waker>>) -> Result<()> {
        self.0.set_callback(callback(waker));
        Ok(())
    }

    /// How far it is.
    pub fn progress(&self) -> Result<TransferProgress> {
        let progress = self.0.progress();
        Ok(TransferProgress { done: progress.done, total: progress.total })
    }

    /// What has come of it, if it is over: the text of the handle of what was stored, or what was
    /// fetched, nothing if that is in a file.
    pub fn result(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.result().transpose()?.map(<[u8]>::to_vec))
    }

    /// Ends it soon, unless it has come to its end just now.
    pub fn cancel(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
