//! The topics that the views of this client listen to, and what waits for their next step.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use teatime_vm::Published;

use crate::delivery::{Delivery, Handling, SubscriptionId, WILDCARD};
use crate::limits::MAX_WAITING_DELIVERIES;

#[derive(Default)]
pub(super) struct Subscriptions {
    next: u64,
    topics: HashMap<Topic, Vec<(SubscriptionId, Handling)>>,
    immediate_topics: usize,
    immediate: VecDeque<Delivery>,
    queued: VecDeque<Delivery>,
    /// In the order of the first event of this frame.
    once_per_frame: VecDeque<Delivery>,
}

/// Scope and event.
pub(super) type Topic = (Arc<str>, Arc<str>);

impl Subscriptions {
    /// Adds a subscription. True if it is the first of its topic.
    pub(super) fn add(&mut self, topic: Topic, handling: Handling) -> (SubscriptionId, bool) {
        let id = SubscriptionId(self.next);
        self.next += 1;
        self.immediate_topics += usize::from(handling == Handling::Immediate);
        let subscribers = self.topics.entry(topic).or_default();
        subscribers.push((id, handling));
        (id, subscribers.len() == 1)
    }

    /// Removes a subscription, and what waits for it. Returns its topic if that has no other subscription.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Topic> {
        for waiting in [&mut self.immediate, &mut self.queued, &mut self.once_per_frame] {
            waiting.retain(|delivery| delivery.subscription != id);
        }
        let holds_it = |list: &Vec<(SubscriptionId, Handling)>| list.iter().any(|s| s.0 == id);
        let topic = self.topics.iter().find(|(_, list)| holds_it(list))?.0.clone();
        let subscribers = self.topics.get_mut(&topic)?;
        let removed = subscribers.extract_if(.., |subscriber| subscriber.0 == id);
        self.immediate_topics -= removed.filter(|s| s.1 == Handling::Immediate).count();
        if !subscribers.is_empty() {
            return None;
        }
        self.topics.remove(&topic);
        Some(topic)
    }

    /// All topics with a subscription.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }

    /// Hands an event to all subscriptions of its topic, in the order in which they were made.
    pub(super) fn route(&mut self, event: &Published) {
        let wildcard = || Arc::<str>::from(WILDCARD);
        let mut subscribers: Vec<_> = [
            (event.scope.clone(), event.event.clone()),
            (event.scope.clone(), wildcard()),
            (wildcard(), event.event.clone()),
            (wildcard(), wildcard()),
        ]
        .iter()
        .filter_map(|topic| self.topics.get(topic))
        .flatten()
        .copied()
        .collect();
        subscribers.sort_unstable_by_key(|subscriber| subscriber.0);
        for (subscription, handling) in subscribers {
            let delivery = Delivery {
                subscription,
                scope: event.scope.clone(),
                event: event.event.clone(),
                source: event.source,
                payload: event.payload.clone(),
            };
            match handling {
                Handling::Immediate => self.immediate.push_back(delivery),
                Handling::Queued => self.queued.push_back(delivery),
                Handling::OncePerFrame => self.queue_newest(delivery),
            }
        }
    }

    fn queue_newest(&mut self, delivery: Delivery) {
        let same = |waiting: &&mut Delivery| {
            waiting.subscription == delivery.subscription
                && waiting.scope == delivery.scope
                && waiting.event == delivery.event
        };
        match self.once_per_frame.iter_mut().find(same) {
            Some(waiting) => *waiting = delivery,
            None => self.once_per_frame.push_back(delivery),
        }
    }

    /// Whether a subscriber may want to look at the model right after a turn.
    pub(super) fn has_immediate_topics(&self) -> bool {
        self.immediate_topics > 0
    }

    pub(super) fn has_immediate(&self) -> bool {
        !self.immediate.is_empty()
    }

    /// Whether the model must stand still until the owner has polled some deliveries.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.immediate.len() + self.queued.len() + self.once_per_frame.len();
        waiting >= MAX_WAITING_DELIVERIES
    }

    /// The next event for a subscriber.
    pub(super) fn poll(&mut self, handling: Handling) -> Option<Delivery> {
        match handling {
            Handling::Immediate => self.immediate.pop_front(),
            Handling::Queued => self.queued.pop_front(),
            Handling::OncePerFrame => self.once_per_frame.pop_front(),
        }
    }

    /// Drops what waits: the view that it is for is gone.
    pub(super) fn clear_waiting(&mut self) {
        self.immediate.clear();
        self.queued.clear();
        self.once_per_frame.clear();
    }
}
