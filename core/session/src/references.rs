//! What stands behind a snapshot: to which blobs its state refers.

use std::sync::Arc;

use teatime_data::{BlobHandle, Space};
use teatime_wire::References;

use crate::config::Config;

/// Puts behind a sealed snapshot to which blobs it refers, if it refers to any. The room's space is
/// made at the first need: with a password that takes some 30 ms.
pub(crate) fn end_with_references(
    sealed: Arc<[u8]>,
    snapshot: &[u8],
    config: &Config,
    space: &mut Option<Space>,
) -> Arc<[u8]> {
    let handles: Vec<_> = BlobHandle::scan(snapshot).collect();
    if handles.is_empty() && !References::is_needed(&sealed) {
        return sealed;
    }
    let space = space.get_or_insert_with(|| {
        Space::new(config.app.id(), &config.name, config.password.as_deref())
    });
    let own = handles.iter().filter(|handle| space.owns(handle));
    let mut roots: Vec<_> = own.map(BlobHandle::root).collect();
    roots.sort_unstable();
    roots.dedup();
    let mut ended = sealed.to_vec();
    References { space: space.id(), roots }.append(&mut ended);
    ended.into()
}
