//! Counts the taps of each participant.

use serde::{Deserialize, Serialize};
use teatime::{Cx, OrderedMap, VIEW_EXIT, ViewId, handlers, model};

/// The taps of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The participant's view.
    pub view: ViewId,
    /// The number of taps.
    pub taps: u32,
}

/// The root model. It subscribes to `tally/add` and publishes `tally/changed`.
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
        // The reflector stamps the sender, so a participant can only tap for themselves.
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

    /// The taps of each participant, in the order of the first taps.
    #[query]
    fn counts(&self) -> Vec<Count> {
        self.taps.iter().map(|(view, taps)| Count { view: *view, taps: *taps }).collect()
    }

    /// The sum of the taps of all participants who are present.
    #[query]
    fn total(&self) -> u64 {
        self.taps.iter().map(|(_, taps)| u64::from(*taps)).sum()
    }
}
