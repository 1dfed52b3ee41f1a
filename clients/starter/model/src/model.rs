//! Counts how often everybody has tapped.

use serde::{Deserialize, Serialize};
use teatime::{Cx, OrderedMap, VIEW_EXIT, ViewId, handlers, model};

/// How often somebody has tapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Who.
    pub view: ViewId,
    /// How often.
    pub taps: u32,
}

/// The root model. It listens to `tally/add`, and publishes `tally/changed`.
#[model(id = "tally", version = 1)]
pub struct Tally {
    taps: OrderedMap<ViewId, u32>,
}

#[handlers]
impl Tally {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("tally", "add", Self::add);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::forget);
        Self { taps: OrderedMap::new() }
    }

    fn add(&mut self, cx: &mut Cx<Self>) {
        // The reflector says who it was: nobody can tap for others.
        let Some(view) = cx.sender() else { return };
        let taps = self.taps.get_or_insert_with(view, || 0);
        *taps = taps.saturating_add(1);
        cx.publish("tally", "changed", ());
    }

    fn forget(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        if self.taps.remove(&view).is_some() {
            cx.publish("tally", "changed", ());
        }
    }

    /// Who has tapped, in the order in which they began.
    #[query]
    fn counts(&self) -> Vec<Count> {
        self.taps.iter().map(|(view, taps)| Count { view: *view, taps: *taps }).collect()
    }

    /// All taps of those who are here.
    #[query]
    fn total(&self) -> u64 {
        self.taps.iter().map(|(_, taps)| u64::from(*taps)).sum()
    }
}
