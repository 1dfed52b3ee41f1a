//! A model that notices if an event is lost, doubled or out of order, with planted bugs.

use std::cell::Cell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use teatime::{
    App, Cx, Duration, Handle, NoPrevious, OrderedMap, Persisted, VIEW_EXIT, VIEW_JOIN, ViewId,
    ViewInfo, handlers, model,
};

/// The view data of every client of the simulator.
pub const BROUGHT_ALONG: &str = "brought along";

/// The events of views: numbers that increase by one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, … of each view.
    pub number: u64,
}

/// The persisted data of the ledger: the number of entries, every few entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Number of entries.
    pub entries: u64,
}

impl Persisted for Total {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

/// The options of a ledger.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rules {
    /// Time between two ticks of the model in ms.
    pub tick_ms: u64,
    /// A planted bug.
    pub bug: Option<Bug>,
}

/// A bug of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bug {
    /// The state depends on a field that snapshots leave out.
    ForgetsField,
    /// The model ignores some exits.
    LosesExit,
    /// The state depends on a static, which keeps the change of a handler that panicked.
    KeepsPanic,
    /// The state depends on the order of a hash map of the standard library.
    HashOrder,
    /// The message of a panic depends on the participant.
    SaysOther,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ForgetsField, Self::LosesExit, Self::KeepsPanic, Self::HashOrder, Self::SaysOther];
}

thread_local! {
    /// The next tick computes a wrong state, as defective memory or a compiler bug might.
    static CORRUPT: Cell<bool> = const { Cell::new(false) };
    /// A static, which no model may have.
    static OUTSIDE: Cell<u64> = const { Cell::new(0) };
}

/// Runs `f`. The first tick of a ledger in it computes a wrong state. Returns whether there was one.
pub fn corrupted(f: impl FnOnce()) -> bool {
    CORRUPT.set(true);
    f();
    !CORRUPT.replace(false)
}

/// Whether the calling ledger must compute a wrong state, once.
#[must_use]
pub fn take_corruption() -> bool {
    CORRUPT.replace(false)
}

/// Resets the static.
pub fn forget_outside() {
    OUTSIDE.set(0);
}

/// Counts every view's entries. It uses every feature of models: future messages, random numbers, other models that
/// are created and destroyed, events between models.
#[derive(Debug)]
#[model(id = "ledger", version = 1)]
pub struct Ledger {
    newest: OrderedMap<ViewId, u64>,
    here: OrderedMap<ViewId, Handle<Page>>,
    entries: u64,
    violations: u64,
    /// Entries missing before a later one of the same view.
    gaps: u64,
    poisoned: u64,
    sum: f64,
    rules: Rules,
    /// Not in snapshots, so it must make no difference.
    #[serde(skip)]
    forgotten: u64,
}

#[handlers]
impl Ledger {
    fn init(cx: &mut Cx<Self>, rules: &Rules) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit);
        cx.subscribe("ledger", "enter", Self::enter);
        cx.subscribe("ledger", "poison", Self::poison);
        cx.subscribe("page", "turned", Self::turned);
        cx.every(Duration::from_millis(rules.tick_ms)).call(Self::tick, ());
        Self {
            newest: OrderedMap::new(),
            here: OrderedMap::new(),
            entries: 0,
            violations: 0,
            gaps: 0,
            poisoned: 0,
            sum: 0.0,
            rules: *rules,
            forgotten: 0,
        }
    }

    fn join(&mut self, cx: &mut Cx<Self>, view: ViewInfo) {
        // Every client of the simulator has this view data.
        self.violations += u64::from(view.data::<String>() != Some(Ok(BROUGHT_ALONG.into())));
        let view = view.view_id;
        if let Some(page) = cx.create::<Page>(&view) {
            self.violations += u64::from(self.here.insert(view, page).is_some());
        }
        self.violations += u64::from(self.here.len() != u64::from(cx.view_count()));
    }

    fn exit(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        if self.rules.bug == Some(Bug::LosesExit) && self.entries % 3 == 1 {
            return;
        }
        match self.here.remove(&view) {
            Some(page) => self.violations += u64::from(!cx.destroy(page)),
            None => self.violations += 1,
        }
        self.violations += u64::from(self.here.len() != u64::from(cx.view_count()));
    }

    fn enter(&mut self, cx: &mut Cx<Self>, entry: Entry) {
        let Some(sender) = cx.sender() else { return };
        let newest = self.newest.get_or_insert_with(sender, || 0);
        self.violations += u64::from(entry.number <= *newest);
        self.gaps += u64::from(entry.number > *newest + 1);
        *newest = entry.number;
        self.entries += 1;
        self.forgotten += 1;
        if self.entries % 8 == 1 {
            let total = Total { entries: self.entries };
            self.violations += u64::from(cx.persist(&total).is_err());
        }
        let pause = Duration::from_micros(cx.random_below(3_000_000));
        cx.future(pause).call(Self::later, entry.number);
        cx.publish(sender, "entered", entry);
    }

    fn later(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += teatime::math::sin(number as f64) * cx.random();
        match self.rules.bug {
            Some(Bug::ForgetsField) if self.forgotten % 7 == 3 => self.sum += 1.0,
            Some(Bug::KeepsPanic) => self.sum += OUTSIDE.get() as f64,
            Some(Bug::HashOrder) => {
                let numbers: HashMap<u64, ()> = (0..8).map(|n| (n, ())).collect();
                self.sum += numbers.keys().next().copied().unwrap_or_default() as f64;
            }
            _ => {}
        }
    }

    /// Changes a lot, and then panics. No change may stay.
    fn poison(&mut self, cx: &mut Cx<Self>, by: u64) {
        self.poisoned += 1;
        self.entries += by;
        self.newest.clear();
        self.sum = cx.random();
        OUTSIDE.set(OUTSIDE.get() + 1);
        cx.publish("ledger", "tick", ());
        cx.future(Duration::from_millis(1)).call(Self::later, by);
        let local = if self.rules.bug == Some(Bug::SaysOther) { OUTSIDE.get() } else { 0 };
        // Like a panic, but without a message on the terminal.
        std::panic::resume_unwind(Box::new(format!("poisoned by {}", by + local)));
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        if take_corruption() {
            self.entries += 1_000_000;
        }
        self.sum = teatime::math::atan2(self.sum, cx.random() + 0.1);
        cx.publish("ledger", "tick", ());
    }

    fn turned(&mut self, _cx: &mut Cx<Self>, turns: u64) {
        self.sum += turns as f64;
    }

    /// Number of violations.
    #[query]
    pub fn violations(&self) -> u64 {
        self.violations + self.poisoned
    }

    /// Number of gaps.
    #[query]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Number of all entries.
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

/// The page of one view. It exists while the view is in the session.
#[derive(Debug)]
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

/// The ledger as an app.
pub fn app() -> App {
    App::builder::<Ledger>("teatime.ledger")
        .model::<Page>()
        .persists::<Total>()
        .build()
        .expect("its two models have different ids")
}
