//! Silences expected panics: shrinking a plan plays it hundreds of times.

use std::cell::Cell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The panic hook while a thread may be quiet: it calls the hook from before, unless the thread is quiet.
struct Placed {
    /// The number of [`Silencer`]s.
    needed: usize,
    /// Its address, and the hook from before.
    hook: Option<(usize, Arc<Hook>)>,
}

static PLACED: Mutex<Placed> = Mutex::new(Placed { needed: 0, hook: None });

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// While one exists, [`when`] has an effect. For all other threads the panic hook does the same as before, and after the
/// last silencer the hook from before is back.
pub(crate) struct Silencer(());

impl Silencer {
    pub(crate) fn new() -> Self {
        let mut placed = PLACED.lock().unwrap_or_else(PoisonError::into_inner);
        placed.needed += 1;
        if placed.needed == 1 {
            let before = Arc::new(take_hook());
            let loud = before.clone();
            let hook: Hook = Box::new(move |panic| {
                if !QUIET.get() {
                    loud(panic);
                }
            });
            placed.hook = Some((address(&hook), before));
            set_hook(hook);
        }
        Self(())
    }
}

impl Drop for Silencer {
    fn drop(&mut self) {
        // A panicking thread must not change the hook.
        if std::thread::panicking() {
            return;
        }
        let mut placed = PLACED.lock().unwrap_or_else(PoisonError::into_inner);
        placed.needed -= 1;
        if placed.needed > 0 {
            return;
        }
        let Some((own, before)) = placed.hook.take() else { return };
        let hook = take_hook();
        if address(&hook) != own {
            // The app has set another hook in the meantime.
            return set_hook(hook);
        }
        drop(hook);
        set_hook(
            Arc::into_inner(before).unwrap_or_else(|| unreachable!("it is the only reference")),
        );
    }
}

fn address(hook: &Hook) -> usize {
    std::ptr::from_ref(&**hook).cast::<()>().addr()
}

/// Runs something. If `quiet`, panics in it print nothing.
pub(crate) fn when<R>(quiet: bool, run: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _before = Before(QUIET.get());
    QUIET.set(QUIET.get() || quiet);
    run()
}

/// Runs something quietly.
pub(crate) fn during<R>(run: impl FnOnce() -> R) -> R {
    let _silencer = Silencer::new();
    when(true, run)
}
