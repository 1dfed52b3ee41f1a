//! Blobs beside a session.

use std::sync::{Arc, Mutex, PoisonError};

use teatime::Config;
use teatime::blobs::{BlobHandle, Blobs as RoomBlobs};

use super::session::{Session, Waker, callback};
use super::{JoinOptions, Result};
use crate::transfer::{Job, SharedTransfer, handle_of};

/// The default size of the cache for pieces of blobs.
const CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// The blobs of a session's room. The first use derives their keys.
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
    /// Starts to store bytes as a blob.
    pub fn store_bytes(&self, content: &[u8]) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::Store(content.to_vec()))
    }

    /// Starts to store a file as a blob. Only a few pieces of it are in memory at a time.
    pub fn store_file(&self, file: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::StoreFile(file.into()))
    }

    /// Starts to fetch the blob with this handle.
    pub fn fetch_bytes(&self, handle: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::Fetch(handle_of(handle)?))
    }

    /// Starts to fetch the blob with this handle into a file. At the end the file is complete, or unchanged.
    /// If the transfer ends early, the pieces that have arrived stay beside the file, in a file with its
    /// name, some digits and `.part`. A later fetch of the same blob into the same file continues there; a
    /// concurrent one waits. The library removes the partial file when it can never be continued.
    pub fn fetch_file(&self, handle: &str, file: &str) -> Result<Arc<Transfer>> {
        self.blobs.start(Job::FetchFile(handle_of(handle)?, file.into()))
    }

    /// Whether a handle belongs to the session's room and password.
    pub fn owns_blob(&self, handle: &str) -> Result<bool> {
        let handle: BlobHandle = handle_of(handle)?;
        Ok(self.blobs.of_room()?.owns(&handle))
    }
}

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct TransferProgress {
    /// Bytes of the blob that have been transferred.
    pub done: u64,
    /// Size of the blob in bytes; 0 before the transfer has begun.
    pub total: u64,
}

/// The transfer of a blob. Dropping the last reference cancels it.
#[derive(uniffi::Object)]
pub struct Transfer(SharedTransfer);

#[uniffi::export]
impl Transfer {
    /// Sets the waker to call on progress and at the end. Calls it once immediately.
    pub fn set_waker(&self, waker: Option<Box<dyn Waker>>) -> Result<()> {
        self.0.set_callback(callback(waker));
        Ok(())
    }

    /// The progress so far.
    pub fn progress(&self) -> Result<TransferProgress> {
        let progress = self.0.progress();
        Ok(TransferProgress { done: progress.done, total: progress.total })
    }

    /// The result, once the transfer is over: the text of the stored blob's handle, or the fetched bytes.
    /// Empty if the bytes went to a file.
    pub fn result(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.result().transpose()?.map(<[u8]>::to_vec))
    }

    /// Ends the transfer soon, unless it has already ended.
    pub fn cancel(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
