//! Topics whose payload has a type that the compiler checks on both sides.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::id::Scope;

/// A topic of events with a payload of type `T`. Models and views that share a constant agree on the names and on the type,
/// because the compiler checks them.
///
/// ```
/// use teatime_vm::{Cx, TypedTopic, handlers, model};
///
/// const ADD: TypedTopic<u64> = TypedTopic::new("counter", "add");
/// const CHANGED: TypedTopic<u64> = TypedTopic::new("counter", "changed");
///
/// #[model(id = "counter", version = 1)]
/// struct Counter {
///     count: u64,
/// }
///
/// #[handlers]
/// impl Counter {
///     fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
///         cx.subscribe_topic(&ADD, Self::add);
///         Self { count: 0 }
///     }
///
///     fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
///         self.count += number;
///         cx.publish_topic(&CHANGED, self.count);
///     }
/// }
/// ```
///
/// A handler of another type does not compile:
///
/// ```compile_fail,E0271
/// # use teatime_vm::{Cx, TypedTopic, handlers, model};
/// const ADD: TypedTopic<String> = TypedTopic::new("counter", "add");
/// # #[model(id = "counter", version = 1)]
/// # struct Counter {
/// #     count: u64,
/// # }
/// # #[handlers]
/// # impl Counter {
/// #     fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
/// cx.subscribe_topic(&ADD, Self::add); // takes a u64
/// #         Self { count: 0 }
/// #     }
/// #     fn add(&mut self, _cx: &mut Cx<Self>, number: u64) {
/// #         self.count += number;
/// #     }
/// # }
/// ```
pub struct TypedTopic<T> {
    scope: Cow<'static, str>,
    event: &'static str,
    payload: PhantomData<fn(T) -> T>,
}

impl<T> TypedTopic<T> {
    /// A topic of these names. For a constant.
    pub const fn new(scope: &'static str, event: &'static str) -> Self {
        Self { scope: Cow::Borrowed(scope), event, payload: PhantomData }
    }

    /// The topic of the same event in another scope, such as the id of a view or of a model.
    #[must_use]
    pub fn within(&self, scope: impl Into<Scope>) -> Self {
        let scope: Scope = scope.into();
        Self {
            scope: Cow::Owned(scope.as_ref().to_owned()),
            event: self.event,
            payload: PhantomData,
        }
    }

    /// The scope.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The event.
    pub const fn event(&self) -> &'static str {
        self.event
    }
}

impl<T> Clone for TypedTopic<T> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), event: self.event, payload: PhantomData }
    }
}

impl<T> fmt::Debug for TypedTopic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTopic")
            .field("scope", &self.scope)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
