//! Out-parameters, which are written on success only.

use std::ptr::NonNull;

use crate::status::{Failure, Result, tea_status};

/// An out-parameter that can be written.
pub(crate) struct Slot<T>(NonNull<T>);

impl<T> Slot<T> {
    pub(crate) fn set(self, value: T) {
        // SAFETY: the caller of every export promises that its pointers are valid or NULL. The old
        // content is plain data and needs no drop.
        unsafe { self.0.write(value) }
    }

    /// The value that the caller has put there, for parameters that go in and out.
    pub(crate) fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: as above.
        unsafe { self.0.read() }
    }
}

/// Checks an out-parameter before anything else happens.
pub(crate) trait Check<T> {
    fn check(self, name: &str) -> Result<Slot<T>>;
}

impl<T> Check<T> for *mut T {
    fn check(self, name: &str) -> Result<Slot<T>> {
        NonNull::new(self).map(Slot).ok_or_else(|| null(name))
    }
}

#[cold]
pub(crate) fn null(name: &str) -> Failure {
    Failure::new(tea_status::NullPointer, format!("{name} is NULL"))
}
