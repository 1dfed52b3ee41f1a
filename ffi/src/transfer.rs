//! Blobs on their way, as bindings hold them: on a thread of their own.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use teatime::blobs::{BlobError, BlobHandle, Blobs, InvalidHandleError, Progress};

use crate::boundary::caught;
use crate::status::{Failure, Result, tea_status};
use crate::wake::Wake;

/// What is to be done.
pub(crate) enum Job {
    Store(Vec<u8>),
    StoreFile(PathBuf),
    Fetch(BlobHandle),
    FetchFile(BlobHandle, PathBuf),
}

impl Job {
    /// The text of the handle of what was stored, or the content of what was fetched, if that is not
    /// in a file.
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

/// A blob on its way. It is cancelled when this goes.
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
            // Nobody else sets it.
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

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        *self.0.progress()
    }

    /// Ends it soon, unless it has come to its end just now.
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Whether what comes of it is the text of a handle.
    pub(crate) fn stores(&self) -> bool {
        self.0.stores
    }

    /// What has come of it, if it is over.
    pub(crate) fn result(&self) -> Option<Result<&[u8]>> {
        let result = self.0.result.get()?;
        Some(result.as_deref().map_err(Clone::clone))
    }

    /// Waits until it is over, at most so long.
    pub(crate) fn wait(&self, at_most: Duration) {
        let running = |_: &mut Progress| self.0.result.get().is_none();
        // However it ends, the caller looks.
        let _ = self.0.over.wait_timeout_while(self.0.progress(), at_most, running);
    }

    /// Sets what is called when there is progress, and at the end; it is called once at once.
    pub(crate) fn set_callback(&self, callback: Option<crate::wake::Callback>) {
        self.0.wake.set_callback(callback);
        self.0.wake.signal();
    }

    /// Ends it, and calls nobody any more: it is about to be freed.
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

/// Reads the text of a handle.
pub(crate) fn handle_of(text: &str) -> Result<BlobHandle> {
    text.parse().map_err(|error: InvalidHandleError| Failure::new(tea_status::BadBlobHandle, error))
}
