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
        if !self.participants[at].is_alive() {
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
        if one.hindrances().steps_at() <= now {
            if one.is_liar() {
                self.scenario.gossip(&mut self.user(at));
            } else {
                self.user_acts(at)?;
                // Not at the end: what was shown last must arrive without a successor.
                if !self.quiet {
                    self.participants[at].show(now);
                }
            }
            let one = &mut self.participants[at];
            if (self.quiet || healing) && !one.health().is_diverged() {
                // If this fails, the next act tries again.
                let _ = one.client_mut().request_vote();
            }
            self.obey_client(at);
            self.wake(at, now);
        }
        let pause = self.participants[at].below(2 * mean);
        self.at(now + pause, Happening::Act(at));
        Ok(())
    }

    /// A participant, for an act of its user.
    pub(super) fn user(&mut self, at: usize) -> User<'_> {
        let swallows = self.bug == Some(Bug::SwallowsPublish);
        User::new(&mut self.participants[at], self.now, self.plan, swallows)
    }

    /// The acts of users are numbered, so that a plan can leave some out.
    pub(super) fn user_acts(&mut self, at: usize) -> Outcome {
        self.acts += 1;
        let number = self.acts;
        if self.plan.acts.as_ref().is_none_or(|acts| acts.binary_search(&number).is_ok()) {
            let mut dice = Dice::of(self.plan.seed, ACTS, number);
            let before = self.participants[at].published().len();
            let acted = self.scenario.act(&mut dice, &mut self.user(at));
            self.participants[at].check_published()?;
            let wrong =
                |what| Wrong::new(Invariant::Act, format!("participant {}: {what}", at + 1));
            acted.map_err(wrong)?;
            let published = &self.participants[at].published()[before..];
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
        self.participants[at].check_published()?;
        let Some(distance) = self.scenario.sync_distance() else { return Ok(()) };
        let room = self.participants[at].room();
        let gone =
            self.observers[room].as_ref().is_none_or(|of| !self.participants[of.at()].is_alive());
        let one = &mut self.participants[at];
        if gone && !one.is_liar() && one.is_alive() {
            one.client_mut().start_tape();
            self.observers[room] = Some(Observer::new(at));
        }
        match &mut self.observers[room] {
            Some(observer) if observer.at() == at => {
                let app = self.scenario.app();
                let compared = observer.watch(app, one, is_done, snapshot, distance.max(1))?;
                self.report.synced += u64::from(compared);
            }
            _ => {}
        }
        Ok(())
    }
}
