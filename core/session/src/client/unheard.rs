//! Warns about events that no model hears.

use std::collections::BTreeSet;

use teatime_vm::Vm;

use crate::limits::WARNED_TOPICS;

/// The topics about which this client has warned.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    warned: BTreeSet<(String, String)>,
}

impl Unheard {
    /// Warns once for each topic to which no model subscribes. Without a model nothing is known.
    pub(super) fn check(&mut self, vm: Option<&Vm>, scope: &str, event: &str) {
        if vm.is_none_or(|vm| vm.is_heard(scope, event)) || self.warned.len() == WARNED_TOPICS {
            return;
        }
        if self.warned.insert((scope.to_owned(), event.to_owned())) {
            tracing::warn!(
                scope,
                event,
                "an event was published that no model hears: check the names of scope and event"
            );
        }
    }
}
