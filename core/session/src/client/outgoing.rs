//! What waits to be polled: actions for the driver, and events for the owner.

use std::collections::VecDeque;

use teatime_vm::Fault;
use teatime_wire::ClientMessage;

use crate::event::{Action, SessionEvent};
use crate::limits::MAX_WAITING_EVENTS;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    actions: VecDeque<Action>,
    events: VecDeque<SessionEvent>,
}

impl Outgoing {
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn send(&mut self, message: &ClientMessage<'_>) {
        self.actions.push_back(Action::Send(message.encode()));
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Whether the model must stand still until the owner has polled some events.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MAX_WAITING_EVENTS
    }

    /// Adds an event that only a running model gives rise to: [`is_full`](Self::is_full) bounds their number.
    pub(super) fn report(&mut self, event: SessionEvent) {
        self.events.push_back(event);
    }

    pub(super) fn report_faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.events.extend(faults.into_iter().map(SessionEvent::Fault));
    }

    /// Adds an event that may also arise while the model stands still. If it does, the event replaces those
    /// of its kind that still wait.
    pub(super) fn tell(&mut self, event: SessionEvent, model_stands_still: bool) {
        if model_stands_still {
            let kind = std::mem::discriminant(&event);
            self.events.retain(|waiting| std::mem::discriminant(waiting) != kind);
        }
        self.events.push_back(event);
    }

    /// The view that was announced is gone before the owner has built it.
    pub(super) fn retract_view_ready(&mut self) {
        self.events.retain(|event| !matches!(event, SessionEvent::ViewReady));
    }
}
