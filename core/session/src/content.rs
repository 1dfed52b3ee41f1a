//! What ordered messages carry for the models: opening it, and reading it.

use teatime_base::{Binding, Seal};
use teatime_vm::ViewInfo;
use teatime_wire::View;

/// Reads the content of an event: `[scope, event, data]`. `None` if it is anything else.
pub(crate) fn event_of(plain: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (scope, event, data): (&str, &str, &serde_bytes::Bytes) =
        rmp_serde::from_slice(plain).ok()?;
    Some((scope, event, data.as_ref()))
}

/// What models learn about a view. View data with a broken seal counts as none, on every participant alike.
pub(crate) fn view_info(seal: &mut Seal, view: &View<'_>) -> ViewInfo {
    let view_data = view.view_data.and_then(|sealed| {
        let mut sealed = sealed.to_vec();
        let opened = seal.open(Binding::ViewData(view.view_id), &mut sealed);
        opened.ok().map(|data| data.to_vec().into())
    });
    ViewInfo { view_id: view.view_id, view_data }
}
