//! Who is in the session.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::ViewId;
use crate::payload::{self, PayloadError};

/// A view has joined. Scope: the session id. A handler with a [`ViewId`] or [`ViewInfo`] is called
/// for each, one with a `Vec` of either once for all that came together, after the single ones.
/// Only models hear it.
pub const VIEW_JOIN: &str = "view-join";
/// A view has exited; like [`VIEW_JOIN`]. Exits of one batch come before its joins.
pub const VIEW_EXIT: &str = "view-exit";
/// Another name of [`VIEW_JOIN`].
pub const USER_ENTER: &str = "user-enter";
/// Another name of [`VIEW_EXIT`].
pub const USER_EXIT: &str = "user-exit";

/// A view that has joined or exited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewInfo {
    /// Its id.
    pub view_id: ViewId,
    /// What it brought along, as MessagePack.
    #[serde(with = "bytes")]
    pub view_data: Option<Arc<[u8]>>,
}

impl ViewInfo {
    /// What the view brought along, if it did, as a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Option<Result<T, PayloadError>> {
        self.view_data.as_ref().map(|data| payload::decode(data))
    }
}

mod bytes {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        data: &Option<Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        data.as_deref().map(serde_bytes::Bytes::new).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        let data = Option::<serde_bytes::ByteBuf>::deserialize(deserializer)?;
        Ok(data.map(|data| data.into_vec().into()))
    }
}
