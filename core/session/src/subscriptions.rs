//! Which topics the views of this client listen to, and what waits for their next step.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use teatime_vm::{Payload, Published};

/// Matches every scope, or every event.
pub const WILDCARD: &str = "*";

/// Names one subscription of a client; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// When a subscriber gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// Each of them, in order, once per frame.
    #[default]
    Queued,
    /// Only the newest, once per frame, after everything queued.
    OncePerFrame,
    /// Each of them right after the turn that published it, while the model stands as it stood
    /// then.
    Immediate,
}

/// An event for one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For whom.
    pub subscription: SubscriptionId,
    /// Scope of the topic.
    pub scope: Arc<str>,
    /// Event of the topic.
    pub event: Arc<str>,
    /// What was published.
    pub payload: Payload,
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    next: u64,
    topics: HashMap<Topic, Vec<(SubscriptionId, Handling)>>,
    immediate_topics: usize,
    immediate: VecDeque<Delivery>,
    queued: VecDeque<Delivery>,
    /// In the order of the first event of this frame.
    once_per_frame: VecDeque<Delivery>,
}

/// Scope and event.
pub(crate) type Topic = (Arc<str>, Arc<str>);

impl Subscriptions {
    /// Adds a subscription; true if it is the first of its topic.
    pub(crate) fn add(&mut self, topic: Topic, handling: Handling) -> (SubscriptionId, bool) {
        let id = SubscriptionId(self.next);
        self.next += 1;
        self.immediate_topics += usize::from(handling == Handling::Immediate);
        let subscribers = self.topics.entry(topic).or_default();
        subscribers.push((id, handling));
        (id, subscribers.len() == 1)
    }

    /// Removes a subscription with what waits for it; its topic if that was the last of it.
    pub(crate) fn remove(&mut self, id: SubscriptionId) -> Option<Topic> {
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

    /// The topics that somebody listens to.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }

    /// Hands an event to everybody who listens to its topic, in the order of subscription.
    pub(crate) fn route(&mut self, event: &Published) {
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
                payload: event.payload.clone(),
            };
            match handling {
                Handling::Immediate => self.immediate.push_back(delivery),
                Handling::Queued => self.queued.push_back(delivery),
                Handling::OncePerFrame => self.keep_newest(delivery),
            }
        }
    }

    fn keep_newest(&mut self, delivery: Delivery) {
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

    /// Whether anybody may want to look at the model right after a turn.
    pub(crate) fn has_immediate_topics(&self) -> bool {
        self.immediate_topics > 0
    }

    pub(crate) fn has_immediate(&self) -> bool {
        !self.immediate.is_empty()
    }

    /// How many deliveries wait.
    pub(crate) fn waiting(&self) -> usize {
        self.immediate.len() + self.queued.len() + self.once_per_frame.len()
    }

    /// The next event for a subscriber.
    pub(crate) fn poll(&mut self, handling: Handling) -> Option<Delivery> {
        match handling {
            Handling::Immediate => self.immediate.pop_front(),
            Handling::Queued => self.queued.pop_front(),
            Handling::OncePerFrame => self.once_per_frame.pop_front(),
        }
    }

    /// Forgets what waits: the view that it was for is gone.
    pub(crate) fn clear_waiting(&mut self) {
        self.immediate.clear();
        self.queued.clear();
        self.once_per_frame.clear();
    }
}
