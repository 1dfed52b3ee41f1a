//! The topic of the event that a handler hears.

use std::sync::Arc;

use crate::id::{ModelId, ViewId};
use crate::topics::{TopicId, Topics};

/// The topic of the event that a handler hears, and who published the event.
///
/// It is never a pattern: a handler that subscribed with `*` reads here which scope and event it hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The scope in which the event was published.
    pub scope: Arc<str>,
    /// The name under which it was published.
    pub event: Arc<str>,
    /// Who published it.
    pub source: Source,
}

/// Who published an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A model. It may have been destroyed meanwhile.
    Model(ModelId),
    /// A view.
    View(ViewId),
    /// The reflector: a join or an exit.
    Reflector,
}

/// What [`Topic`] is made of when a handler asks. The names are copied only for handlers that subscribed with a
/// wildcard, and only if the table of topics does not have them.
#[derive(Clone)]
pub(crate) struct Heard {
    names: Names,
    pub(crate) source: Source,
}

/// Where the names of a topic are.
#[derive(Clone)]
enum Names {
    Table(TopicId),
    Copied(Arc<str>, Arc<str>),
}

impl Heard {
    /// `topics` are those that the event belongs to, its own last.
    #[inline]
    pub(crate) fn new(
        topics: &[Option<TopicId>; 4],
        scope: &str,
        event: &str,
        source: Source,
    ) -> Self {
        // Within a turn, the table removes no topic.
        let names = match topics[3] {
            Some(own) => Names::Table(own),
            None => Names::Copied(scope.into(), event.into()),
        };
        Self { names, source }
    }

    pub(crate) fn topic(&self, table: &Topics) -> Topic {
        let (scope, event) = match &self.names {
            Names::Table(own) => {
                let entry = table.get(*own);
                (entry.scope.clone(), entry.event.clone())
            }
            Names::Copied(scope, event) => (scope.clone(), event.clone()),
        };
        Topic { scope, event, source: self.source }
    }
}
