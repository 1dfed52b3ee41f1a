//! What the users of participants do, and who is watched meanwhile.

use std::sync::Arc;

use super::plan::{Bug, Pace};
use super::report::{Invariant, Outcome, Wrong};
use super::scenario::{Dice, User};
use super::twin::Observer;
use super::world::{Happening, SECOND, World};

/// A kind of dice: what users do.
pub(super) const ACTS: u64 = 2;

impl World<'_> {
    /// The user of a client does something.
    pub(super) fn act(&mut self, at: usize) -> Outcome {
        if !self.participants[at].alive {
            return Ok(());
        }
        let now = self.now;
        let healing = self.is_healing();
        assert!(
            self.plan.bug != Some(Bug::Panics) || !self.participants[at].chance(100),
            "an application panics"
        );
        let one = &mut self.participants[at];
        let mean = match self.plan.pace {
            _ if self.quiet || healing => 2 * SECOND,
            Pace::Brisk => SECOND / 5,
            Pace::Steady => 8 * SECOND,
        };
        if one.frozen_until.max(one.idle_until) <= now {
            if one.lies {
                self.scenario.gossip(&mut User::new(one, now, self.plan));
            } else {
                self.user_acts(at)?;
            }
            let one = &mut self.participants[at];
            if (self.quiet || healing) && one.diverged.is_none() {
                // What cannot be asked for now will be asked for later.
                let _ = one.client.request_vote();
            }
            self.obey_client(at);
            self.wake(at, now);
        }
        let pause = self.participants[at].below(2 * mean);
        self.at(now + pause, Happening::Act(at));
        Ok(())
    }

    /// What users do is numbered, so that a plan can leave some of it out.
    pub(super) fn user_acts(&mut self, at: usize) -> Outcome {
        self.acts += 1;
        let number = self.acts;
        if self.plan.acts.as_ref().is_none_or(|acts| acts.binary_search(&number).is_ok()) {
            let mut dice = Dice::of(self.plan.seed, ACTS, number);
            let before = self.participants[at].published.len();
            let mut user = User::new(&mut self.participants[at], self.now, self.plan);
            let acted = self.scenario.act(&mut dice, &mut user);
            self.participants[at].publishes_well()?;
            let wrong =
                |what| Wrong::new(Invariant::Act, format!("participant {}: {what}", at + 1));
            acted.map_err(wrong)?;
            let published = &self.participants[at].published[before..];
            let largest = published.iter().map(|event| event.payload.len()).max();
            self.sizes.event = self.sizes.event.max(largest.unwrap_or(0));
        }
        Ok(())
    }

    /// A client has made a step: compares it with the twin, if it is who is watched in its session.
    pub(super) fn watch(
        &mut self,
        at: usize,
        is_done: bool,
        snapshot: Option<Arc<Vec<u8>>>,
    ) -> Outcome {
        self.participants[at].publishes_well()?;
        let Some(distance) = self.scenario.sync_distance() else { return Ok(()) };
        let room = self.participants[at].room;
        let gone = self.observers[room].as_ref().is_none_or(|of| !self.participants[of.at].alive);
        let one = &mut self.participants[at];
        if gone && !one.lies && one.alive {
            one.client.start_tape();
            self.observers[room] = Some(Observer::new(at));
        }
        match &mut self.observers[room] {
            Some(observer) if observer.at == at => {
                let app = self.scenario.app();
                let compared = observer.watch(app, one, is_done, snapshot, distance.max(1))?;
                self.report.synced += u64::from(compared);
            }
            _ => {}
        }
        Ok(())
    }
}
