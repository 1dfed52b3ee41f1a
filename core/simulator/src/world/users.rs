//! What the users of participants do, and the twin that one participant is compared with.

use std::sync::Arc;

use super::queue::Happening;
use super::{SECOND, World};
use crate::dice::{ACTS, Dice};
use crate::plan::Pace;
use crate::planted::Bug;
use crate::report::{Invariant, Outcome, Wrong};
use crate::twin::Observer;
use crate::user::User;

impl World<'_> {
    /// The user of a client does something.
    pub(super) fn act(&mut self, at: usize) -> Outcome {
        if !self.participants[at].alive {
            return Ok(());
        }
        let now = self.now;
        let healing = self.is_healing();
        assert!(
            self.bug != Some(Bug::Panics) || !self.participants[at].chance(100),
            "an app panics"
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
                // If this fails, the next act tries again.
                let _ = one.client.request_vote();
            }
            self.obey_client(at);
            self.wake(at, now);
        }
        let pause = self.participants[at].below(2 * mean);
        self.at(now + pause, Happening::Act(at));
        Ok(())
    }

    /// The acts of users are numbered, so that a plan can leave some out.
    pub(super) fn user_acts(&mut self, at: usize) -> Outcome {
        self.acts += 1;
        let number = self.acts;
        if self.plan.acts.as_ref().is_none_or(|acts| acts.binary_search(&number).is_ok()) {
            let mut dice = Dice::of(self.plan.seed, ACTS, number);
            let before = self.participants[at].published.len();
            let swallows = self.bug == Some(Bug::SwallowsPublish);
            let user = User::new(&mut self.participants[at], self.now, self.plan);
            let mut user = user.swallowing(swallows);
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

    /// A client has made a step. Compares it with the twin, if it is the watched one of its session.
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
