//! What slows a participant down for a while: it does not run, or its messages wait.

/// Times in virtual µs. Each hindrance ends at its time.
#[derive(Debug, Default)]
pub(crate) struct Hindrances {
    /// The client does not get the processor.
    frozen_until: u64,
    /// The client receives but does not step.
    idle_until: u64,
    /// Nothing reaches the reflector.
    up_until: u64,
    /// Nothing reaches the client.
    down_until: u64,
}

impl Hindrances {
    pub(crate) fn freeze(&mut self, until: u64) {
        self.frozen_until = self.frozen_until.max(until);
    }

    pub(crate) fn idle(&mut self, until: u64) {
        self.idle_until = self.idle_until.max(until);
    }

    pub(crate) fn block_up(&mut self, until: u64) {
        self.up_until = until;
    }

    pub(crate) fn block_down(&mut self, until: u64) {
        self.down_until = until;
    }

    /// Ends all hindrances, but for that the client may not run: what has reached it waits for that, and must stay in order.
    pub(crate) fn end(&mut self, now: u64) {
        for until in [&mut self.idle_until, &mut self.up_until, &mut self.down_until] {
            *until = (*until).min(now);
        }
    }

    /// When the client gets the processor.
    pub(crate) fn runs_at(&self) -> u64 {
        self.frozen_until
    }

    /// When the client may step.
    pub(crate) fn steps_at(&self) -> u64 {
        self.frozen_until.max(self.idle_until)
    }

    /// When messages reach the reflector.
    pub(crate) fn up_at(&self) -> u64 {
        self.up_until
    }

    /// When messages reach the client.
    pub(crate) fn down_at(&self) -> u64 {
        self.down_until
    }

    /// Whether nothing gets through in one direction or the other.
    pub(crate) fn is_blocked(&self, now: u64) -> bool {
        self.up_until.max(self.down_until) > now
    }

    /// When the last hindrance ends, or has ended.
    pub(crate) fn end_at(&self) -> u64 {
        self.steps_at().max(self.up_until).max(self.down_until)
    }

    /// Whether nothing hinders the participant.
    pub(crate) fn is_free(&self, now: u64) -> bool {
        self.steps_at() <= now && !self.is_blocked(now)
    }
}
