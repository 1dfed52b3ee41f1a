//! Transfers of blobs, as bindings hold them: each on a thread of its own.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use teatime::blobs::{BlobError, BlobHandle, Blobs, InvalidHandleError, Progress};

use crate::boundary::caught;
use crate::status::{Failure, Result, tea_status};
use crate::wake::Wake;

/// What a transfer does.
pub(crate) enum Job {
    Store(Vec<u8>),
    StoreFile(PathBuf),
    Fetch(BlobHandle),
    FetchFile(BlobHandle, PathBuf),
}

impl Job {
    /// The text of the handle of the stored blob, or the fetched bytes if they do not go into a file.
    fn run(
        self,
        blobs: &Blobs,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> std::result::Result<Vec<u8>, BlobError> {
        let text = |handle: BlobHandle| handle.to_string().into_bytes();
        match self {
            Self::Store(content) => {
                blobs.store_from(content.len() as u64, &mut &*content, watch).map(text)
            }
            Self::StoreFile(file) => blobs.store_file(&file, watch).map(text),
            Self::Fetch(handle) => {
                let mut content = Vec::new();
                blobs.fetch_into(handle, &mut content, watch).map(|()| content)
            }
            Self::FetchFile(handle, file) => {
                blobs.fetch_file(handle, &file, watch).map(|()| Vec::new())
            }
        }
    }
}

/// A transfer of a blob. Dropping it cancels it.
pub(crate) struct SharedTransfer(Arc<Shared>);

struct Shared {
    wake: Wake,
    stores: bool,
    cancelled: AtomicBool,
    progress: Mutex<Progress>,
    /// Set once.
    result: OnceLock<Result<Vec<u8>>>,
    over: Condvar,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, progress: Progress) -> ControlFlow<()> {
        if self.cancelled.load(Ordering::Acquire) {
            return ControlFlow::Break(());
        }
        let before = std::mem::replace(&mut *self.progress(), progress);
        if before != progress {
            self.wake.signal();
        }
        ControlFlow::Continue(())
    }

    fn end(&self, result: Result<Vec<u8>>) {
        {
            let mut progress = self.progress();
            if result.is_ok() {
                progress.done = progress.total;
            }
            // Only this thread sets it.
            let _ = self.result.set(result);
        }
        self.over.notify_all();
        self.wake.signal();
    }
}

impl SharedTransfer {
    pub(crate) fn start(blobs: Blobs, job: Job) -> Result<Self> {
        let shared = Arc::new(Shared {
            wake: Wake::new(),
            stores: matches!(job, Job::Store(_) | Job::StoreFile(_)),
            cancelled: AtomicBool::new(false),
            progress: Mutex::default(),
            result: OnceLock::new(),
            over: Condvar::new(),
        });
        let theirs = shared.clone();
        let run = move || {
            theirs.end(caught(|| Ok(job.run(&blobs, &mut |progress| theirs.watch(progress))?)));
        };
        let thread = std::thread::Builder::new().name("teatime-blob".into()).spawn(run);
        thread.map_err(|error| Failure::new(tea_status::Io, error))?;
        Ok(Self(shared))
    }

    /// The progress.
    pub(crate) fn progress(&self) -> Progress {
        *self.0.progress()
    }

    /// Cancels it soon, unless it has just finished.
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Whether its result is the text of a handle.
    pub(crate) fn stores(&self) -> bool {
        self.0.stores
    }

    /// Its result, if it is over.
    pub(crate) fn result(&self) -> Option<Result<&[u8]>> {
        let result = self.0.result.get()?;
        Some(result.as_deref().map_err(Clone::clone))
    }

    /// Waits until it is over, for `at_most`.
    pub(crate) fn wait(&self, at_most: Duration) {
        let running = |_: &mut Progress| self.0.result.get().is_none();
        // However the wait ends, the caller checks.
        let _ = self.0.over.wait_timeout_while(self.0.progress(), at_most, running);
    }

    /// Sets the callback for progress and the end, and calls it once immediately.
    pub(crate) fn set_callback(&self, callback: Option<crate::wake::Callback>) {
        self.0.wake.set_callback(callback);
        self.0.wake.signal();
    }

    /// Cancels it and removes the callback, because it is about to be freed.
    pub(crate) fn close(&self) {
        self.cancel();
        self.0.wake.set_callback(None);
    }
}

impl Drop for SharedTransfer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Parses the text of a handle.
pub(crate) fn handle_of(text: &str) -> Result<BlobHandle> {
    text.parse().map_err(|error: InvalidHandleError| Failure::new(tea_status::BadBlobHandle, error))
}
