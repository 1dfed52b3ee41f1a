//! Whether the senders of a session are asked to pause, and why.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The log has reached its limit, and waits for a snapshot.
    LogFull,
    /// Too much waits for the storage.
    StorageSlow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Flow {
    #[default]
    Free,
    Held(Reason),
    HeldByBoth,
}

impl Flow {
    pub(super) fn is_held(self) -> bool {
        self != Self::Free
    }

    pub(super) fn is_held_by(self, reason: Reason) -> bool {
        self == Self::HeldByBoth || self == Self::Held(reason)
    }

    /// Returns whether senders were free before.
    pub(super) fn hold(&mut self, reason: Reason) -> bool {
        let was_free = !self.is_held();
        *self = match *self {
            Self::Held(other) if other != reason => Self::HeldByBoth,
            Self::HeldByBoth => Self::HeldByBoth,
            Self::Free | Self::Held(_) => Self::Held(reason),
        };
        was_free
    }

    /// Returns whether senders are free now and were not before.
    pub(super) fn free(&mut self, reason: Reason) -> bool {
        let was_held = self.is_held();
        *self = match *self {
            Self::HeldByBoth if reason == Reason::LogFull => Self::Held(Reason::StorageSlow),
            Self::HeldByBoth => Self::Held(Reason::LogFull),
            Self::Held(own) if own == reason => Self::Free,
            other => other,
        };
        was_held && !self.is_held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_resume_when_the_last_reason_is_gone() {
        let mut flow = Flow::default();
        assert!(!flow.free(Reason::LogFull));
        assert!(flow.hold(Reason::LogFull) && !flow.hold(Reason::LogFull));
        assert!(!flow.hold(Reason::StorageSlow) && flow.is_held_by(Reason::StorageSlow));
        assert!(!flow.free(Reason::LogFull) && flow.is_held() && !flow.is_held_by(Reason::LogFull));
        assert!(flow.free(Reason::StorageSlow) && !flow.is_held());
    }
}
