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
            one.hindrances_mut().end(now);
        }
        for room in 0..self.plan.rooms {
            self.end_lie(room);
            // A honest participant must be there, to check the state.
            if self.alive(Some(room)).iter().all(|at| self.participants[*at].is_liar()) {
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
            let (state, seq) = (one.client().connection_state(), one.seq());
            let (views, pending) = (one.vm().map(Vm::view_count), one.has_pending());
            let shown = one.client().presences().count();
            format!(
                "participant {} in {} {state:?} at {seq:?} sees {views:?}, of which {shown} show something, \
                 pending {pending}",
                at + 1,
                one.room()
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
                alive.iter().filter(|at| !self.participants[**at].is_liar()).copied().collect();
            let settled = |at: &usize| {
                let one = &self.participants[*at];
                one.client().connection_state() == ConnectionState::Live
                    && !one.health().is_diverged()
                    && !one.is_deceived()
                    && !one.has_pending()
                    && one.vm().map_or(0, Vm::view_count) as usize == alive.len()
            };
            let mut positions: Vec<_> =
                honest.iter().map(|at| self.participants[*at].seq()).collect();
            positions.dedup();
            // A liar may have received a message that is still on its way to the others.
            let is_ahead = |at: &usize| {
                let (one, first) = (&self.participants[*at], honest.first());
                first.map(|at| &self.participants[*at]).is_some_and(|first| {
                    one.timeline() == first.timeline() && one.seq() > first.seq()
                })
            };
            honest.iter().all(settled)
                && positions.len() <= 1
                && !alive.iter().any(is_ahead)
                && (honest.is_empty() || self.oracle.agreed(room) >= honest.len() as u64)
        })
    }

    /// Whether all honest participants see what the others in their room show of themselves.
    pub(super) fn all_see_all(&self) -> bool {
        let honest = |at: &usize| !self.participants[*at].is_liar();
        (0..self.plan.rooms).all(|room| {
            let there: Vec<_> = self.alive(Some(room)).into_iter().filter(honest).collect();
            let sees = |at: usize, other: usize| {
                at == other || self.participants[at].sees(&self.participants[other])
            };
            there.iter().all(|at| there.iter().all(|other| sees(*at, *other)))
        })
    }

    pub(super) fn check_the_end(&mut self) -> Outcome {
        for at in self.alive(None) {
            let one = &self.participants[at];
            if !one.is_liar() {
                self.oracle.check_the_end(self.scenario, at, &self.participants)?;
                self.report.checked += 1;
            }
        }
        Ok(())
    }
}
