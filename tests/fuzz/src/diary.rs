//! An app whose model uses what models can use: the tests read its states from anywhere.

use serde::{Deserialize, Serialize};
use teatime_vm::persisted::{NoPrevious, Persisted};
use teatime_vm::{
    App, Cx, Duration, Handle, OrderedMap, VIEW_JOIN, ViewId, ViewInfo, handlers, model,
};

/// The root model. Its code is declared, so that the seeds do not change with each source of this crate.
#[model(id = "diary", version = 1, code = "1")]
pub(crate) struct Diary {
    pages: Vec<(ViewId, String)>,
    marks: OrderedMap<String, i64>,
    weather: Option<(f64, Vec<u8>)>,
    joined: Vec<ViewInfo>,
    pen: Option<Handle<Pen>>,
}

/// A model that comes and goes.
#[model(id = "pen", version = 1, code = "1")]
pub(crate) struct Pen {
    ink: u32,
}

/// What outlives a version.
#[derive(Serialize, Deserialize)]
struct Saved {
    pages: Vec<String>,
}

impl Persisted for Saved {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

#[handlers]
impl Diary {
    fn init(cx: &mut Cx<Self>, _options: &()) -> Self {
        cx.subscribe("diary", "write", Self::write);
        cx.subscribe("diary", "mark", Self::mark);
        cx.subscribe("diary", "weather", Self::change);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.every(Duration::from_millis(50)).call(Self::tick, ());
        let pages = cx.persisted::<Saved>().map_or_else(Vec::new, |saved| saved.pages);
        let pages = pages.into_iter().map(|page| (ViewId([0; 16]), page)).collect();
        Self { pages, marks: OrderedMap::new(), weather: None, joined: Vec::new(), pen: None }
    }

    fn write(&mut self, cx: &mut Cx<Self>, text: String) {
        assert!(text != "blot", "the page is spoilt");
        let Some(sender) = cx.sender() else { return };
        self.pages.push((sender, text));
        let pages = self.pages.iter().map(|(_, page)| page.clone()).collect();
        // Too many pages are not persisted.
        let _ = cx.persist(&Saved { pages });
        cx.publish("diary", "written", self.pages.len() as u64);
    }

    fn mark(&mut self, cx: &mut Cx<Self>, (name, number): (String, i64)) {
        *self.marks.get_or_insert_with(name, || 0) += number % 100;
        match self.pen.take() {
            Some(pen) => drop(cx.destroy(pen)),
            None => self.pen = cx.create::<Pen>(&7),
        }
    }

    fn change(&mut self, _cx: &mut Cx<Self>, weather: (f64, Vec<u8>)) {
        self.weather = Some(weather);
    }

    fn join(&mut self, _cx: &mut Cx<Self>, view: ViewInfo) {
        self.joined.push(view);
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        *self.marks.get_or_insert_with("ticks".into(), || 0) += i64::from(cx.random_below(3) > 0);
    }
}

#[handlers]
impl Pen {
    fn init(cx: &mut Cx<Self>, ink: &u32) -> Self {
        cx.future(Duration::from_millis(20)).call(Self::dry, ());
        cx.subscribe("pen", "use", Self::dry);
        Self { ink: *ink }
    }

    fn dry(&mut self, _cx: &mut Cx<Self>) {
        self.ink = self.ink.saturating_sub(1);
    }
}

pub(crate) fn app() -> App {
    let builder = App::builder::<Diary>("test.diary").persists::<Saved>();
    builder.model::<Pen>().build().expect("it is sound")
}
