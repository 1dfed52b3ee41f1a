//! The end of a run: faults stop, and all participants must converge.

use teatime_session::ConnectionState;
use teatime_vm::Vm;

use super::World;
use super::queue::Happening;
use crate::report::Outcome;

impl World<'_> {
    pub(super) fn end_faults(&mut self) -> Outcome {
        self.quiet = true;
        self.oracle.forget_votes();
        self.disk_is_well();
        let now = self.now;
        self.down_until = self.down_until.min(now);
        for one in &mut self.participants {
            for until in [&mut one.frozen_until, &mut one.idle_until] {
                *until = (*until).min(now);
            }
            for until in [&mut one.up_blocked, &mut one.down_blocked] {
                *until = (*until).min(now);
            }
        }
        for room in 0..self.plan.rooms {
            // A honest participant must be there, to check the state.
            if self.alive(Some(room)).iter().all(|at| self.participants[*at].lies) {
                self.start(room, false)?;
            }
        }
        for at in 0..self.participants.len() {
            self.wake(at, now);
            self.at(now, Happening::Act(at));
        }
        Ok(())
    }

    pub(super) fn standing(&self) -> String {
        let each = |at: &usize| {
            let one = &self.participants[*at];
            let (state, vm) = (one.client.connection_state(), one.client.vm());
            let (seq, views) = (vm.map(Vm::seq), vm.map(Vm::view_count));
            let pending = one.last_receipt.is_some_and(|receipt| !one.client.is_applied(receipt));
            format!(
                "participant {} in {} {state:?} at {seq:?} sees {views:?} pending {pending}",
                at + 1,
                one.room
            )
        };
        self.alive(None).iter().map(each).collect::<Vec<_>>().join("; ")
    }

    /// Whether in each room all honest participants are live, have sent everything and are at the same position,
    /// their models know who is there, and their newest vote was unanimous.
    pub(super) fn has_converged(&self) -> bool {
        (0..self.plan.rooms).all(|room| {
            let alive = self.alive(Some(room));
            let honest: Vec<_> =
                alive.iter().filter(|at| !self.participants[**at].lies).copied().collect();
            let settled = |at: &usize| {
                let one = &self.participants[*at];
                one.client.connection_state() == ConnectionState::Live
                    && one.diverged.is_none()
                    && one.last_receipt.is_none_or(|receipt| one.client.is_applied(receipt))
                    && one.client.vm().map_or(0, Vm::view_count) as usize == alive.len()
            };
            let mut positions: Vec<_> =
                honest.iter().map(|at| self.participants[*at].client.vm().map(Vm::seq)).collect();
            positions.dedup();
            honest.iter().all(settled)
                && positions.len() <= 1
                && (honest.is_empty() || self.oracle.agreed(room) >= honest.len() as u64)
        })
    }

    pub(super) fn check_the_end(&mut self) -> Outcome {
        for at in self.alive(None) {
            let one = &self.participants[at];
            if !one.lies {
                self.oracle.check_the_end(self.scenario, at, &self.participants)?;
                self.report.checked += 1;
            }
        }
        Ok(())
    }
}
