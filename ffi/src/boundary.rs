//! The boundary to C, which no panic crosses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::{Failure, Result, remember, tea_status};

#[cfg(panic = "abort")]
compile_error!("build with panic = \"unwind\": otherwise a bug here would end the host program");

/// Runs the body of an export. Every export goes through here or through [`value_boundary`].
#[inline]
pub(crate) fn boundary(body: impl FnOnce() -> Result<()>) -> tea_status {
    let run = || {
        injection::strike();
        body()
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => tea_status::Ok,
        Ok(Err(failure)) => {
            remember(failure.message);
            failure.status
        }
        Err(panic) => panicked(&*panic),
    }
}

/// Turns a panic on a thread of the library into a failure like any other.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(failure(&*panic)))
}

/// Runs the body of an export that returns a value; returns `fallback` if it panics.
#[inline]
pub(crate) fn value_boundary<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        panicked(&*panic);
        fallback
    })
}

#[cold]
fn panicked(panic: &(dyn std::any::Any + Send)) -> tea_status {
    let Failure { status, message } = failure(panic);
    remember(message);
    status
}

fn failure(panic: &(dyn std::any::Any + Send)) -> Failure {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("without a message");
    Failure::new(tea_status::Panic, format!("the library panicked: {message}"))
}

#[cfg(not(feature = "panic-injection"))]
mod injection {
    pub(super) fn strike() {}
}

#[cfg(feature = "panic-injection")]
mod injection {
    use std::cell::Cell;

    thread_local! {
        static ARMED: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn strike() {
        assert!(!ARMED.take(), "injected");
    }

    /// Makes the next call on this thread that returns a status panic.
    #[unsafe(no_mangle)]
    extern "C" fn tea_inject_panic() {
        ARMED.set(true);
    }
}
