//! A session as bindings hold it: any thread may use it, and it wakes the thread that steps it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::ReentrantMutex;
use teatime::{Config, Driver, PublishError, Receipt};

use crate::status::{Failure, Result, tea_status};
use crate::wake::Wake;

/// A session whose calls take turns.
pub(crate) struct SharedSession {
    driver: ReentrantMutex<RefCell<Driver>>,
    pub(crate) wake: Arc<Wake>,
}

impl SharedSession {
    /// Starts to join through the reflector at this address.
    pub(crate) fn join(config: Config, reflector: &str) -> Result<Self> {
        let wake = Arc::new(Wake::new());
        let signal = wake.clone();
        let driver = Driver::join(config, reflector, Arc::new(move || signal.signal()))?;
        Ok(Self { driver: ReentrantMutex::new(RefCell::new(driver)), wake })
    }

    /// Runs something with the session, in this thread's turn.
    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut Driver) -> Result<R>) -> Result<R> {
        let driver = self.driver.lock();
        // The lock lets the same thread in twice; the session must not.
        let mut driver = driver.try_borrow_mut().map_err(|_| {
            let message = "a callback used the session that had called it";
            Failure::new(tea_status::Reentrant, message)
        })?;
        run(&mut driver)
    }

    /// Runs `first`, then takes in what has arrived and simulates it, in one turn.
    pub(crate) fn step(&self, budget: Duration, first: impl FnOnce()) -> Result<()> {
        self.with(|driver| {
            self.wake.taken();
            first();
            driver.step(budget);
            Ok(())
        })
    }

    /// Waits until a step has work to do. Other threads can use the session meanwhile.
    pub(crate) fn wait(&self, at_most: Duration) -> Result<()> {
        let due = self.with(|driver| Ok(driver.next_due()))?;
        self.wake.wait(due.map_or(at_most, |due| due.min(at_most)));
        Ok(())
    }

    /// Publishes MessagePack.
    pub(crate) fn publish(&self, scope: &str, event: &str, payload: &[u8]) -> Result<Receipt> {
        self.send(|driver| driver.publish_encoded(scope, event, payload))
    }

    /// Shows MessagePack to the other participants.
    pub(crate) fn set_presence(&self, data: &[u8]) -> Result<()> {
        self.send(|driver| driver.set_presence_encoded(data))
    }

    /// Shows nothing from now on.
    pub(crate) fn clear_presence(&self) -> Result<()> {
        self.send(Driver::clear_presence)
    }

    /// Sends something, at once or by a later step.
    fn send<T>(
        &self,
        send: impl FnOnce(&mut Driver) -> std::result::Result<T, PublishError>,
    ) -> Result<T> {
        self.with(|driver| {
            let due = |driver: &Driver| driver.next_due().unwrap_or(Duration::MAX);
            let before = due(driver);
            let sent = send(driver)?;
            if due(driver) < before {
                // It is sent later than now, but before a thread in `wait` expects to step.
                self.wake.nudge();
            }
            Ok(sent)
        })
    }

    /// The app goes to the background.
    pub(crate) fn leave_after(&self, pause: Duration) -> Result<()> {
        self.with(|driver| {
            driver.leave_after(pause);
            Ok(())
        })?;
        // There may be an event to poll.
        self.wake.signal();
        Ok(())
    }

    /// Drops the connection and makes a new one now.
    pub(crate) fn reconnect(&self) -> Result<()> {
        self.with(|driver| {
            driver.reconnect();
            Ok(())
        })?;
        // There is an event to poll.
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

    /// Ends waits and removes the waker, because the session is about to be freed.
    pub(crate) fn close(&self) {
        self.wake.set_callback(None);
        self.wake.nudge();
    }
}
