//! Whether a participant has the right state.

use teatime_vm::StateHash;
use teatime_wire::Digest;

/// What the simulator knows of a participant's state. The participant itself learns it from the reflector.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: State,
    /// The participant had a wrong state, loads the right one, and has not yet learned why.
    was_wrong: bool,
    /// The newest vote of the participant: the position, and the hash of the state there.
    voted: Option<(u64, StateHash)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Right,
    /// The next step computes a wrong state.
    Corrupt,
    /// The state is wrong.
    Diverged {
        /// The participant must have learned it by then.
        until: u64,
        /// The message after which it computed the wrong state.
        after: u64,
    },
}

impl Health {
    /// Whether the next step must compute a wrong state.
    pub(crate) fn is_corrupt(&self) -> bool {
        matches!(self.state, State::Corrupt)
    }

    /// Whether the state is wrong.
    pub(crate) fn is_diverged(&self) -> bool {
        matches!(self.state, State::Diverged { .. })
    }

    /// Whether the state may be wrong, now or soon.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !matches!(self.state, State::Right) || self.was_wrong
    }

    /// Whether the state has been wrong for longer than the participant may need to learn it.
    pub(crate) fn is_overdue(&self, now: u64) -> bool {
        matches!(self.state, State::Diverged { until, .. } if now > until)
    }

    /// Lets the next step compute a wrong state, or not.
    pub(crate) fn corrupt(&mut self, is_corrupt: bool) {
        match self.state {
            _ if is_corrupt => self.state = State::Corrupt,
            State::Corrupt => self.state = State::Right,
            State::Right | State::Diverged { .. } => {}
        }
    }

    /// A step has computed a wrong state after this message.
    pub(crate) fn diverge(&mut self, until: u64, after: u64) {
        self.state = State::Diverged { until, after };
    }

    /// The state is right again. Returns whether it was wrong.
    pub(crate) fn recover(&mut self) -> bool {
        let was_diverged = self.is_diverged();
        if was_diverged {
            self.state = State::Right;
        }
        was_diverged
    }

    /// The participant loads the state from the reflector.
    pub(crate) fn reload(&mut self) {
        self.was_wrong |= self.recover();
    }

    /// The participant learns that its state was wrong. Returns whether that is true.
    pub(crate) fn learn(&mut self) -> bool {
        let was_diverged = self.recover();
        std::mem::take(&mut self.was_wrong) || was_diverged
    }

    /// The participant votes.
    pub(crate) fn vote(&mut self, seq: u64, hash: StateHash) {
        self.voted = Some((seq, hash));
    }

    /// The participant learns what the majority voted for. Returns true if that was its own wrong state: then this
    /// state is the right one from now on.
    pub(crate) fn take_verdict(&mut self, seq: u64, hash: Option<Digest>) -> bool {
        let (State::Diverged { after, .. }, Some((voted, own)), Some(hash)) =
            (&self.state, self.voted, hash)
        else {
            return false;
        };
        voted == seq && seq > *after && own.0 == hash.0 && self.recover()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_participant_that_was_wrong_learns_it_with_reason() {
        let mut health = Health::default();
        assert!(!health.learn() && !health.is_in_doubt());
        health.corrupt(true);
        assert!(health.is_corrupt() && !health.recover());
        health.diverge(10, 3);
        assert!(health.is_diverged() && !health.is_overdue(10) && health.is_overdue(11));
        // A fault that cannot happen leaves the wrong state as it is.
        health.corrupt(false);
        health.reload();
        assert!(!health.is_diverged() && health.is_in_doubt() && health.learn() && !health.learn());
    }

    #[test]
    fn a_majority_for_the_wrong_state_makes_it_the_right_one() {
        let (own, other) = (StateHash([1; 32]), Digest([2; 32]));
        let mut health = Health::default();
        health.diverge(10, 3);
        assert!(!health.take_verdict(4, Some(Digest(own.0))), "it has not voted");
        health.vote(4, own);
        assert!(!health.take_verdict(4, None) && !health.take_verdict(4, Some(other)));
        assert!(!health.take_verdict(5, Some(Digest(own.0))), "a vote for another position");
        assert!(health.take_verdict(4, Some(Digest(own.0))) && !health.is_diverged());
        health.diverge(20, 4);
        assert!(!health.take_verdict(4, Some(Digest(own.0))), "a vote before it was wrong");
    }
}
