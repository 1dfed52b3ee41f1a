//! A model that notices if an event is lost, doubled or out of order, and one that diverges.

use serde::{Deserialize, Serialize};
use teatime::{
    App, Cx, Duration, Handle, OrderedMap, VIEW_EXIT, VIEW_JOIN, ViewId, ViewInfo, handlers, model,
};

/// The view data of every client of the simulator.
pub const BROUGHT_ALONG: &str = "brought along";

/// What views send: numbers that go up by one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, … of each view.
    pub number: u64,
}

/// Keeps account of every view's entries. It uses what a model can use: future messages, random
/// numbers, other models that come and go, events between models.
#[model(id = "ledger", version = 1)]
pub struct Ledger {
    newest: OrderedMap<ViewId, u64>,
    here: OrderedMap<ViewId, Handle<Page>>,
    entries: u64,
    violations: u64,
    sum: f64,
    buggy: bool,
    /// What a snapshot does not hold must make no difference. In the buggy ledger it does.
    #[serde(skip)]
    forgotten: u64,
}

#[handlers]
impl Ledger {
    fn init(cx: &mut Cx<Self>, buggy: &bool) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit);
        cx.subscribe("ledger", "enter", Self::enter);
        cx.subscribe("page", "turned", Self::turned);
        cx.every(Duration::from_millis(250)).call(Self::tick, ());
        Self {
            newest: OrderedMap::new(),
            here: OrderedMap::new(),
            entries: 0,
            violations: 0,
            sum: 0.0,
            buggy: *buggy,
            forgotten: 0,
        }
    }

    fn join(&mut self, cx: &mut Cx<Self>, view: ViewInfo) {
        // Every client of the simulator brings this along.
        self.violations += u64::from(view.data::<String>() != Some(Ok(BROUGHT_ALONG.into())));
        let view = view.view_id;
        if let Some(page) = cx.create::<Page>(&view) {
            self.violations += u64::from(self.here.insert(view, page).is_some());
        }
        self.violations += u64::from(self.here.len() != u64::from(cx.view_count()));
    }

    fn exit(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        match self.here.remove(&view) {
            Some(page) => self.violations += u64::from(!cx.destroy(page)),
            None => self.violations += 1,
        }
        self.violations += u64::from(self.here.len() != u64::from(cx.view_count()));
    }

    fn enter(&mut self, cx: &mut Cx<Self>, entry: Entry) {
        let Some(sender) = cx.sender() else { return };
        let newest = self.newest.get_or_insert_with(sender, || 0);
        self.violations += u64::from(entry.number != *newest + 1);
        *newest = entry.number;
        self.entries += 1;
        self.forgotten += 1;
        let pause = Duration::from_micros(cx.random_below(3_000_000));
        cx.future(pause).call(Self::later, entry.number);
        cx.publish(sender, "entered", entry);
    }

    fn later(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += teatime::math::sin(number as f64) * cx.random();
        if self.buggy && self.forgotten % 7 == 3 {
            self.sum += 1.0;
        }
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        self.sum = teatime::math::atan2(self.sum, cx.random() + 0.1);
        cx.publish("ledger", "tick", ());
    }

    fn turned(&mut self, _cx: &mut Cx<Self>, turns: u64) {
        self.sum += turns as f64;
    }

    /// How many times something was wrong.
    #[query]
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// How many entries there are in all.
    #[query]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The newest entry of a view.
    #[query]
    pub fn newest(&self, view: ViewId) -> u64 {
        self.newest.get(&view).copied().unwrap_or_default()
    }
}

/// What belongs to one view while it is here.
#[model(id = "page", version = 1)]
pub struct Page {
    view: ViewId,
    turns: u64,
}

#[handlers]
impl Page {
    fn init(cx: &mut Cx<Self>, view: &ViewId) -> Self {
        cx.subscribe(*view, "entered", Self::entered);
        cx.subscribe("ledger", "tick", Self::tick);
        Self { view: *view, turns: 0 }
    }

    fn entered(&mut self, cx: &mut Cx<Self>, entry: &Entry) {
        self.turns += entry.number;
        cx.publish("page", "turned", self.turns);
    }

    fn tick(&mut self, _cx: &mut Cx<Self>) {
        self.turns = self.turns.wrapping_mul(3) % 1_000_003;
    }
}

/// The ledger as an app. Whether it is the buggy one is its option.
pub fn app() -> App {
    App::builder::<Ledger>("teatime.ledger")
        .model::<Page>()
        .build()
        .expect("it declares two models with different ids")
}
