//! How a session calls for attention: by a callback, a file descriptor, or the end of a wait.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use parking_lot::ReentrantMutex;

use crate::status::{Failure, Result, tea_status};

/// Called from a background thread when stepping a session has become worthwhile, and from the thread
/// that pulls a TEA_EVENT_KIND_VIEW_READY. It must only pass that on to the thread that steps, and
/// return.
pub type tea_waker = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// What is called when a step is worthwhile.
pub(crate) type Callback = Arc<dyn Fn() + Send + Sync>;

/// What a callback in C is called with.
struct UserData(*mut c_void);

// SAFETY: the documentation of `tea_waker` demands that its user data may be used by any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// A callback in C as one of Rust.
pub(crate) fn callback(waker: tea_waker, user_data: *mut c_void) -> Option<Callback> {
    let (run, user_data) = (waker?, UserData(user_data));
    // SAFETY: the documentation of `tea_waker` says how it is called.
    Some(Arc::new(move || unsafe { run(user_data.get()) }))
}

/// Where wake-ups go.
pub(crate) struct Wake {
    /// Held while it runs, so that it never runs after it was taken away; whoever takes it away
    /// from within it must not wait for itself.
    callback: ReentrantMutex<RefCell<Option<Callback>>>,
    #[cfg(unix)]
    pair: OnceLock<Pair>,
    /// Something has arrived since the last step; then a byte waits in the pair.
    due: Mutex<bool>,
    changed: Condvar,
}

/// Two ends of a socket: what is written to one makes the other readable.
#[cfg(unix)]
struct Pair {
    reader: std::os::unix::net::UnixStream,
    writer: std::os::unix::net::UnixStream,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            callback: ReentrantMutex::new(RefCell::new(None)),
            #[cfg(unix)]
            pair: OnceLock::new(),
            due: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Something has arrived.
    pub(crate) fn signal(&self) {
        self.nudge();
        let callback = self.callback.lock();
        // Not borrowed while it runs: it may take itself away.
        let run = callback.borrow().clone();
        if let Some(run) = run {
            run();
        }
    }

    /// Ends a wait of another thread.
    pub(crate) fn nudge(&self) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *due, true) {
            self.signal_pair();
            self.changed.notify_all();
        }
    }

    /// What has arrived so far is about to be taken in.
    pub(crate) fn taken(&self) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *due) {
            self.drain_pair();
        }
    }

    /// Waits until something arrives, at most so long.
    pub(crate) fn wait(&self, at_most: Duration) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        // However it ends, the caller looks.
        let _ = self.changed.wait_timeout_while(due, at_most, |due| !*due);
    }

    /// Sets or takes away the callback.
    pub(crate) fn set_callback(&self, new: Option<Callback>) {
        let callback = self.callback.lock();
        // What it was is dropped when nothing is borrowed any more.
        let _old = callback.replace(new);
    }

    #[cfg(unix)]
    fn signal_pair(&self) {
        use std::io::Write;
        if let Some(pair) = self.pair.get() {
            // One byte always fits: it is the only one.
            let _ = (&pair.writer).write(&[1]);
        }
    }

    #[cfg(unix)]
    fn drain_pair(&self) {
        use std::io::Read;
        if let Some(pair) = self.pair.get() {
            let _ = (&pair.reader).read(&mut [0]);
        }
    }

    /// A descriptor that is readable when a step is worthwhile.
    #[cfg(unix)]
    pub(crate) fn fd(&self) -> Result<i32> {
        use std::os::fd::AsRawFd;
        use std::os::unix::net::UnixStream;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if self.pair.get().is_none() {
            let made = UnixStream::pair().and_then(|(reader, writer)| {
                reader.set_nonblocking(true)?;
                writer.set_nonblocking(true)?;
                Ok(Pair { reader, writer })
            });
            let pair = made.map_err(|error| Failure::new(tea_status::Io, error))?;
            // Nobody else sets it: `due` is locked.
            let _ = self.pair.set(pair);
            // Something may have arrived before.
            *due = true;
            self.signal_pair();
        }
        let pair = self.pair.get().expect("it was set above");
        Ok(pair.reader.as_raw_fd())
    }

    #[cfg(not(unix))]
    fn signal_pair(&self) {}

    #[cfg(not(unix))]
    fn drain_pair(&self) {}

    #[cfg(not(unix))]
    pub(crate) fn fd(&self) -> Result<i32> {
        let message = "this platform has no descriptors that can be waited for: use the callback";
        Err(Failure::new(tea_status::Unsupported, message))
    }
}
