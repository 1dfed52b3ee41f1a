//! A transfer on a thread of its own.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use teatime_blobs::{BlobError, Progress};
use teatime_net::blobs::Watch;
use teatime_net::client::Waker;

/// A transfer on a thread of its own. Dropping it cancels it.
#[derive(Debug)]
pub struct Transfer<T> {
    shared: Arc<Shared>,
    result: mpsc::Receiver<Result<T, BlobError>>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    progress: Mutex<Progress>,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Transfer<T> {
    /// The thread calls `waker` when there is progress, and at the end.
    pub(crate) fn start(
        waker: Waker,
        run: impl FnOnce(&mut Watch<'_>) -> Result<T, BlobError> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (sender, result) = mpsc::sync_channel(1);
        let theirs = shared.clone();
        std::thread::Builder::new().name("teatime-blob".into()).spawn(move || {
            let result = run(&mut |progress| {
                if std::mem::replace(&mut *theirs.progress(), progress) != progress {
                    waker();
                }
                match theirs.cancelled.load(Ordering::Acquire) {
                    false => ControlFlow::Continue(()),
                    true => ControlFlow::Break(()),
                }
            });
            // It fails if the owner has dropped the transfer.
            let _ = sender.send(result);
            waker();
        })?;
        Ok(Self { shared, result })
    }
}

impl<T> Transfer<T> {
    /// The progress.
    pub fn progress(&self) -> Progress {
        *self.shared.progress()
    }

    /// Cancels it: the result will be [`BlobError::Cancelled`], unless it has just finished.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
    }

    /// The result, once it is there. It is returned once.
    pub fn poll(&self) -> Option<Result<T, BlobError>> {
        self.result.try_recv().ok()
    }

    /// Waits for the result, for `at_most` of real time. It is returned once.
    pub fn wait(&self, at_most: Duration) -> Option<Result<T, BlobError>> {
        self.result.recv_timeout(at_most).ok()
    }
}

impl<T> Drop for Transfer<T> {
    fn drop(&mut self) {
        // The thread notices within a tenth of a second, unless its source or target takes longer. Dropping does
        // not wait for it.
        self.cancel();
    }
}
