//! Joins and exits: which views are in the session.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::ViewId;
use crate::payload::{self, PayloadError};

/// A view has joined. The scope is the session id.
///
/// A handler that takes a [`ViewId`] or a [`ViewInfo`] is called once for each view. A handler that takes
/// a `Vec` of either is called once for all views that came together, after the single calls. Only models
/// receive this event.
pub const VIEW_JOIN: &str = "view-join";
/// A view has exited; like [`VIEW_JOIN`]. The exits of one batch come before its joins.
pub const VIEW_EXIT: &str = "view-exit";
/// Another name of [`VIEW_JOIN`].
pub const USER_ENTER: &str = "user-enter";
/// Another name of [`VIEW_EXIT`].
pub const USER_EXIT: &str = "user-exit";

/// A view that has joined or exited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewInfo {
    /// Id of the view.
    pub view_id: ViewId,
    /// The data that the view supplied when it joined, as MessagePack.
    #[serde(with = "crate::optional_bytes")]
    pub view_data: Option<Arc<[u8]>>,
}

impl ViewInfo {
    /// The data of the view as a `T`, if it supplied any.
    pub fn data<T: DeserializeOwned>(&self) -> Option<Result<T, PayloadError>> {
        self.view_data.as_ref().map(|data| payload::decode(data))
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.view_data.as_ref().map_or(0, |data| data.len())
    }
}
