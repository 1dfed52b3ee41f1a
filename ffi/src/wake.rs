//! How a session asks to be stepped: by a callback, a file descriptor, or the end of a wait.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use parking_lot::ReentrantMutex;

use self::descriptor::Descriptor;
use crate::status::Result;

#[cfg(unix)]
#[path = "wake/socket_pair.rs"]
mod descriptor;
#[cfg(not(unix))]
#[path = "wake/no_descriptor.rs"]
mod descriptor;

/// A function that is called when a step of a session has work to do. A background thread calls it, or the thread that
/// polls a TEA_EVENT_KIND_VIEW_READY. It must do no more than notify the thread that steps, and return. So `user_data`
/// must be safe to use from any thread.
pub type tea_waker = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The function that is called when a step has work to do.
pub(crate) type Callback = Arc<dyn Fn() + Send + Sync>;

/// The argument of a callback in C.
struct UserData(*mut c_void);

// SAFETY: the documentation of `tea_waker` demands user data that any thread may use.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// A callback in C as a callback in Rust.
pub(crate) fn callback(waker: tea_waker, user_data: *mut c_void) -> Option<Callback> {
    let (run, user_data) = (waker?, UserData(user_data));
    // SAFETY: called as the documentation of `tea_waker` says.
    Some(Arc::new(move || unsafe { run(user_data.get()) }))
}

/// Where wake-ups go.
pub(crate) struct Wake {
    /// Locked while the callback runs, so that it never runs after it was removed. A callback that removes itself
    /// must not wait for itself, so the lock is reentrant.
    callback: ReentrantMutex<RefCell<Option<Callback>>>,
    descriptor: Descriptor,
    /// Something has arrived since the last step. Then the descriptor is readable.
    due: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            callback: ReentrantMutex::new(RefCell::new(None)),
            descriptor: Descriptor::default(),
            due: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Something has arrived.
    pub(crate) fn signal(&self) {
        self.nudge();
        let callback = self.callback.lock();
        // Not borrowed while it runs, because it may remove itself.
        let run = callback.borrow().clone();
        if let Some(run) = run {
            run();
        }
    }

    /// Ends a wait of another thread.
    pub(crate) fn nudge(&self) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *due, true) {
            self.descriptor.signal();
            self.changed.notify_all();
        }
    }

    /// A step begins, which takes in everything that has arrived.
    pub(crate) fn taken(&self) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *due) {
            self.descriptor.drain();
        }
    }

    /// Waits until something arrives, for `at_most`.
    pub(crate) fn wait(&self, at_most: Duration) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        // However the wait ends, the caller checks.
        let _ = self.changed.wait_timeout_while(due, at_most, |due| !*due);
    }

    /// Sets or removes the callback.
    pub(crate) fn set_callback(&self, new: Option<Callback>) {
        let callback = self.callback.lock();
        // The old callback is dropped after the borrow ends.
        let _old = callback.replace(new);
    }

    /// A descriptor that is readable when a step has work to do.
    pub(crate) fn fd(&self) -> Result<i32> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let (fd, is_new) = self.descriptor.open()?;
        if is_new {
            // Something may have arrived before.
            *due = true;
            self.descriptor.signal();
        }
        Ok(fd)
    }
}
