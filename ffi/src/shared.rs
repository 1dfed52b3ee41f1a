//! A session as bindings hold it: used by any thread, and able to call for attention.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::ReentrantMutex;
use teatime::{Config, Driver, Receipt};

use crate::status::{Failure, Result, tea_status};
use crate::wake::Wake;

/// A session whose calls take turns.
pub(crate) struct SharedSession {
    driver: ReentrantMutex<RefCell<Driver>>,
    pub(crate) wake: Arc<Wake>,
}

impl SharedSession {
    /// Starts to join.
    pub(crate) fn join(config: Config, reflector: &str) -> Result<Self> {
        let wake = Arc::new(Wake::new());
        let signal = wake.clone();
        let driver = Driver::join(config, reflector, Arc::new(move || signal.signal()))?;
        Ok(Self { driver: ReentrantMutex::new(RefCell::new(driver)), wake })
    }

    /// Runs something with the session, when it is this thread's turn.
    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut Driver) -> Result<R>) -> Result<R> {
        let driver = self.driver.lock();
        // The lock lets this thread in twice; the session must not.
        let mut driver = driver.try_borrow_mut().map_err(|_| {
            let message = "a callback used the session that has called it";
            Failure::new(tea_status::Reentrant, message)
        })?;
        run(&mut driver)
    }

    /// Takes in what has arrived and simulates it; first does something else at the same turn.
    pub(crate) fn step(&self, budget: Duration, first: impl FnOnce()) -> Result<()> {
        self.with(|driver| {
            self.wake.taken();
            first();
            driver.step(budget);
            Ok(())
        })
    }

    /// Waits until a step is worthwhile; others go on meanwhile.
    pub(crate) fn wait(&self, at_most: Duration) -> Result<()> {
        let due = self.with(|driver| Ok(driver.next_due()))?;
        self.wake.wait(due.map_or(at_most, |due| due.min(at_most)));
        Ok(())
    }

    /// Publishes MessagePack.
    pub(crate) fn publish(&self, scope: &str, event: &str, data: &[u8]) -> Result<Receipt> {
        self.with(|driver| {
            let due = |driver: &Driver| driver.next_due().unwrap_or(Duration::MAX);
            let before = due(driver);
            let receipt = driver.publish_encoded(scope, event, data)?;
            if due(driver) < before {
                // It waits for its turn to be sent, and whoever waits would come too late.
                self.wake.nudge();
            }
            Ok(receipt)
        })
    }

    /// Makes a new connection at once.
    pub(crate) fn reconnect(&self) -> Result<()> {
        self.with(|driver| {
            driver.reconnect();
            Ok(())
        })?;
        // There is an event to pull.
        self.wake.signal();
        Ok(())
    }

    /// Leaves for good.
    pub(crate) fn leave(&self) -> Result<()> {
        self.with(|driver| {
            driver.leave();
            Ok(())
        })?;
        self.wake.nudge();
        Ok(())
    }

    /// Ends waits, and calls nobody any more: it is about to be freed.
    pub(crate) fn close(&self) {
        self.wake.set_callback(None);
        self.wake.nudge();
    }
}
