//! Stands in for `tape.rs` in a build without recordings: it records nothing.

use teatime_session::{Client, SessionEvent};

/// Records nothing.
#[derive(Debug, Default)]
pub(crate) struct Tape;

impl Tape {
    pub(crate) fn write(&mut self, _: &mut Client) {}

    pub(crate) fn take_event(&mut self) -> Option<SessionEvent> {
        None
    }

    pub(crate) fn record_fault(&mut self, _: &SessionEvent, _: &Client) {}

    pub(crate) fn close(&mut self, _: &mut Client) {}
}
