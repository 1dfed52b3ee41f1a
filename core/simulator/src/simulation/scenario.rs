//! A simulation as a scenario: its closures, called by the simulator.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use teatime_vm::persisted::PersistedData;
use teatime_vm::{App, Fault};

use super::Simulation;
use crate::dice::Dice;
use crate::plan::Plan;
use crate::scenario::{End, Scenario};
use crate::user::User;
use crate::world;

impl Scenario for Simulation<'_> {
    fn app(&self) -> &App {
        &self.app
    }

    fn options(&self, _plan: &Plan) -> Vec<u8> {
        self.options.clone().unwrap_or_default()
    }

    fn view_data(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        self.view_data.as_ref()?(dice)
    }

    fn begins_with(&self) -> Option<&PersistedData> {
        self.begins_with.as_ref()?.as_ref().ok()
    }

    fn act(&self, dice: &mut Dice, user: &mut User<'_>) -> Result<(), String> {
        let all = |sum: u64, (weight, _): &(u64, _)| sum.saturating_add(*weight);
        let mut pick = dice.below(self.actions.iter().fold(0, all));
        for (number, (weight, act)) in self.actions.iter().enumerate() {
            if pick < *weight {
                let which = |what| format!("action {}: {what}", number + 1);
                let done = act(dice, user);
                return if self.actions.len() > 1 { done.map_err(which) } else { done };
            }
            pick -= weight;
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.allows_faults
    }

    fn allows(&self, _fault: &Fault) -> bool {
        self.allows_faults
    }

    fn sync_distance(&self) -> Option<u64> {
        self.sync_distance
    }

    fn check(&self, end: &End<'_>) -> Result<(), String> {
        {
            let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
            for event in end.events() {
                let topic = (event.scope.to_string(), event.event.to_string());
                let is_heard = topics.entry(topic).or_default();
                *is_heard =
                    *is_heard || event.is_heard() || end.vm().is_heard(&event.scope, &event.event);
            }
        }
        let all = self.checks.iter().enumerate();
        all.map(|(number, check)| {
            let said = catch_unwind(AssertUnwindSafe(|| check(end)));
            let said = said.unwrap_or_else(|panic| Err(world::message(&*panic)));
            let which = |what| format!("check {}: {what}", number + 1);
            if self.checks.len() > 1 { said.map_err(which) } else { said }
        })
        .find(Result::is_err)
        .unwrap_or(Ok(()))
    }
}
