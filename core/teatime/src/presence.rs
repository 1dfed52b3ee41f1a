//! What participants show of themselves, as values of the app.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use teatime_session::Client;
use teatime_vm::{Payload, ViewId};

/// What the other participants show. What is not a `T` is left out: another program may show anything.
pub(crate) fn decoded<T: DeserializeOwned + Clone + 'static>(
    client: &Client,
) -> BTreeMap<ViewId, T> {
    let value = |(view, data): (ViewId, &[u8])| match Payload::from_msgpack(data).get() {
        Ok(value) => Some((view, value)),
        Err(error) => {
            tracing::debug!(?view, %error, "a presence is of another type");
            None
        }
    };
    client.presences().filter_map(value).collect()
}
