//! The table of topics: which models subscribe to them, and which of them the views of this client watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::ModelId;

/// Stands for every scope, or for every event.
pub(crate) const WILDCARD: &str = "*";

/// Index of a topic in the table. It differs between participants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicId(u32);

/// A model's subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    /// Number of this subscription among all subscriptions of the session.
    pub(crate) order: u64,
    pub(crate) model: ModelId,
    pub(crate) method: u16,
}

pub(crate) struct Entry {
    pub(crate) scope: Arc<str>,
    pub(crate) event: Arc<str>,
    /// Shared with a delivery in progress, and copied if it changes meanwhile.
    pub(crate) subscriptions: Arc<Vec<Subscription>>,
    /// How many times the views of this client watch it.
    watched: u32,
}

#[derive(Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<Arc<str>, BTreeMap<Arc<str>, TopicId>>,
    topics: Vec<Entry>,
    free: Vec<TopicId>,
    /// Topics that may have lost their last subscription in this turn.
    unused: Vec<TopicId>,
    /// Number of subscriptions to wildcard topics, and of times they are watched. If it is zero, as in most
    /// sessions, an event takes one lookup instead of four.
    wildcards: u32,
}

impl Topics {
    pub(crate) fn get(&self, id: TopicId) -> &Entry {
        &self.topics[id.0 as usize]
    }

    pub(crate) fn find(&self, scope: &str, event: &str) -> Option<TopicId> {
        self.by_name.get(scope)?.get(event).copied()
    }

    fn intern(&mut self, scope: &str, event: &str) -> TopicId {
        if let Some(id) = self.find(scope, event) {
            return id;
        }
        let (scope, event): (Arc<str>, Arc<str>) = (scope.into(), event.into());
        let names = (scope.clone(), event.clone());
        let topic = Entry { scope, event, subscriptions: Arc::default(), watched: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.topics[id.0 as usize] = topic;
                id
            }
            None => {
                self.topics.push(topic);
                let last = self.topics.len() - 1;
                TopicId(u32::try_from(last).expect("memory ends before 2³² topics"))
            }
        };
        self.by_name.entry(names.0).or_default().insert(names.1, id);
        id
    }

    /// The topics that an event belongs to, in the order of delivery: `*:*`, `scope:*`, `*:event`, and its own.
    pub(crate) fn of_event(&self, scope: &str, event: &str) -> [Option<TopicId>; 4] {
        let own = self.find(scope, event);
        if self.wildcards == 0 {
            return [None, None, None, own];
        }
        [self.find(WILDCARD, WILDCARD), self.find(scope, WILDCARD), self.find(WILDCARD, event), own]
    }

    /// Those of these topics that have subscriptions of models. Which others are in the table depends on the views of this
    /// client.
    #[inline]
    pub(crate) fn with_subscriptions(&self, topics: [Option<TopicId>; 4]) -> [Option<TopicId>; 4] {
        topics.map(|topic| topic.filter(|topic| !self.get(*topic).subscriptions.is_empty()))
    }

    /// Subscribes a handler to a topic. `None` if it is already subscribed.
    pub(crate) fn subscribe(
        &mut self,
        scope: &str,
        event: &str,
        new: Subscription,
    ) -> Option<TopicId> {
        let id = self.intern(scope, event);
        let topic = &mut self.topics[id.0 as usize];
        let same = |old: &Subscription| old.model == new.model && old.method == new.method;
        if topic.subscriptions.iter().any(same) {
            return None;
        }
        self.wildcards += topic.is_wildcard();
        Arc::make_mut(&mut topic.subscriptions).push(new);
        Some(id)
    }

    /// Removes a model's subscriptions to a topic: those of one handler, or of all if `method` is `None`.
    pub(crate) fn unsubscribe(&mut self, id: TopicId, model: ModelId, method: Option<u16>) {
        let topic = &mut self.topics[id.0 as usize];
        let goes = |one: &Subscription| {
            one.model == model && method.is_none_or(|method| one.method == method)
        };
        let gone = topic.subscriptions.iter().filter(|one| goes(one)).count();
        if gone > 0 {
            Arc::make_mut(&mut topic.subscriptions).retain(|one| !goes(one));
            self.wildcards -= topic.is_wildcard() * gone as u32;
            self.unused.push(id);
        }
    }

    /// Removes unused topics from the table, after a turn.
    ///
    /// Within a turn they stay, because queued events name topics by id. Otherwise it would make a difference
    /// to models whether a view of this client watches a topic.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        if !self.unused.is_empty() {
            self.forget_unused();
        }
    }

    fn forget_unused(&mut self) {
        while let Some(id) = self.unused.pop() {
            let topic = &self.topics[id.0 as usize];
            let in_use = topic.watched > 0 || !topic.subscriptions.is_empty();
            if in_use || self.find(&topic.scope, &topic.event) != Some(id) {
                continue;
            }
            let (scope, event) = (topic.scope.clone(), topic.event.clone());
            if let Some(events) = self.by_name.get_mut(&scope) {
                events.remove(&event);
                if events.is_empty() {
                    self.by_name.remove(&scope);
                }
                self.free.push(id);
            }
        }
    }

    pub(crate) fn watch(&mut self, scope: &str, event: &str) {
        let id = self.intern(scope, event);
        let topic = &mut self.topics[id.0 as usize];
        topic.watched += 1;
        self.wildcards += topic.is_wildcard();
    }

    pub(crate) fn unwatch(&mut self, scope: &str, event: &str) {
        if let Some(TopicId(id)) = self.find(scope, event) {
            let topic = &mut self.topics[id as usize];
            if topic.watched > 0 {
                topic.watched -= 1;
                self.wildcards -= topic.is_wildcard();
                self.unused.push(TopicId(id));
            }
        }
    }

    /// Watches the topics that are watched in another table.
    pub(crate) fn watch_as(&mut self, other: &Self) {
        for topic in &other.topics {
            for _ in 0..topic.watched {
                self.watch(&topic.scope, &topic.event);
            }
        }
    }

    pub(crate) fn is_watched(&self, topics: &[Option<TopicId>; 4]) -> bool {
        topics.iter().flatten().any(|id| self.get(*id).watched > 0)
    }

    /// All subscriptions with their topics, in the order in which they were made.
    pub(crate) fn in_order(&self) -> Vec<(&Entry, Subscription)> {
        let each = |topic| -> Vec<_> {
            let topic: &Entry = topic;
            topic.subscriptions.iter().map(|one| (topic, *one)).collect()
        };
        let mut all: Vec<_> = self.topics.iter().flat_map(each).collect();
        all.sort_unstable_by_key(|(_, subscription)| subscription.order);
        all
    }
}

impl Entry {
    fn is_wildcard(&self) -> u32 {
        u32::from(&*self.scope == WILDCARD || &*self.event == WILDCARD)
    }
}
