//! Ids and handles of models, and the scopes of events.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub use teatime_base::{InvalidIdError, SessionId, StateHash, ViewId};

/// Id of a model within a session. The root model has 1. Ids are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub u64);

impl ModelId {
    /// Id of the root model.
    pub const ROOT: Self = Self(1);
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}", self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A [`ModelId`] with the type of its model. Models may hold handles and send them in events. The model may
/// have been destroyed meanwhile.
pub struct Handle<M> {
    id: ModelId,
    model: PhantomData<fn() -> M>,
}

impl<M> Handle<M> {
    /// The handle of the model with this id. If the model is of another type, the handle finds nothing.
    pub const fn new(id: ModelId) -> Self {
        Self { id, model: PhantomData }
    }

    /// Id of the model.
    pub const fn id(self) -> ModelId {
        self.id
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Handle<M> {}

impl<M> PartialEq for Handle<M> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<M> Eq for Handle<M> {}

impl<M> PartialOrd for Handle<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Handle<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl<M> Hash for Handle<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<M> Serialize for Handle<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, M> Deserialize<'de> for Handle<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ModelId::deserialize(deserializer).map(Self::new)
    }
}

/// The scope of an event: text, or an id of a session, view or model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<'a>(Cow<'a, str>);

impl AsRef<str> for Scope<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Scope<'a> {
    fn from(name: &'a str) -> Self {
        Self(name.into())
    }
}

impl<'a> From<&'a String> for Scope<'a> {
    fn from(name: &'a String) -> Self {
        Self(name.into())
    }
}

impl From<String> for Scope<'_> {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

macro_rules! scope_from {
    ($($id:ty),*) => {
        $(impl From<$id> for Scope<'_> {
            fn from(id: $id) -> Self {
                id.to_string().into()
            }
        })*
    };
}
scope_from!(SessionId, ViewId, ModelId);

impl<M> From<Handle<M>> for Scope<'_> {
    fn from(handle: Handle<M>) -> Self {
        handle.id.into()
    }
}
