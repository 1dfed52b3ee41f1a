//! The small model whose session is a vector. It uses everything that the model page describes.

use serde::{Deserialize, Serialize};
use teatime::{
    App, Cx, Duration, FutureHandle, Handle, NoPrevious, OrderedMap, Persisted, Source, USER_ENTER,
    VIEW_EXIT, VIEW_JOIN, ViewId, ViewInfo, handlers, math, model,
};

/// What the session begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// The title.
    pub title: String,
    /// The time between two ticks.
    pub period_ms: u32,
}

/// The payload of `board/add`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Add {
    /// What to add.
    pub number: u32,
    /// Why.
    pub text: String,
}

/// An enum with each kind of variant: the payload of `board/mood`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Mood {
    /// Without content.
    Calm,
    /// With one value.
    Loud(u8),
    /// With several values.
    Split(i16, f32),
    /// With fields.
    Named {
        /// A text.
        name: String,
        /// A number.
        level: f64,
    },
}

/// What the board persists.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    title: String,
    total: i64,
}

impl Persisted for Saved {
    const VERSION: u32 = 2;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

/// How many lines of `heard` stay.
const LINES: usize = 12;

/// The root model.
#[derive(Debug)]
#[model(id = "vectors.board", version = 4, code = "board 1")]
pub struct Board {
    title: String,
    /// How often each view has joined.
    members: OrderedMap<ViewId, u32>,
    mood: Mood,
    numbers: Vec<i64>,
    level: f64,
    last: Option<ViewId>,
    timer: Option<FutureHandle>,
    piece: Option<Handle<Piece>>,
    /// The handlers that ran last, each with what it heard and from whom.
    heard: Vec<String>,
}

#[handlers]
impl Board {
    fn init(cx: &mut Cx<Self>, options: &Options) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join_one);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit_one);
        cx.subscribe(cx.session_scope(), USER_ENTER, Self::join_all);
        cx.subscribe("*", "*", Self::overhear);
        cx.subscribe("board", "add", Self::add);
        cx.subscribe("board", "*", Self::nearby);
        cx.subscribe("*", "mood", Self::set_mood);
        cx.subscribe("board", "make", Self::make);
        cx.subscribe("board", "unmake", Self::unmake);
        cx.subscribe("board", "stop", Self::stop);
        cx.subscribe("board", "save", Self::save);
        cx.subscribe("board", "break", Self::fail_if_odd);
        cx.subscribe("board", "fuse", Self::light);
        cx.every(Duration::from_millis(options.period_ms.into())).call(Self::tick, ());
        Self {
            title: options.title.clone(),
            members: OrderedMap::new(),
            mood: Mood::Calm,
            numbers: Vec::new(),
            level: 0.0,
            last: None,
            timer: None,
            piece: None,
            heard: Vec::new(),
        }
    }

    fn join_one(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        self.note(cx, "join_one");
        *self.members.get_or_insert_with(view, || 0) += 1;
    }

    fn exit_one(&mut self, cx: &mut Cx<Self>, view: &ViewInfo) {
        self.note(cx, "exit_one");
        self.members.remove(&view.view_id);
        self.numbers.push(view.view_data.as_ref().map_or(-1, |data| data.len() as i64));
    }

    fn join_all(&mut self, cx: &mut Cx<Self>, views: &Vec<ViewInfo>) {
        self.note(cx, "join_all");
        self.numbers.push(views.len() as i64 * 100 + i64::from(cx.view_count()));
    }

    fn overhear(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "overhear");
    }

    fn nearby(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "nearby");
    }

    fn add(&mut self, cx: &mut Cx<Self>, add: &Add) {
        self.note(cx, "add");
        self.numbers.push(i64::from(add.number) + cx.random_range(-3, 3));
        self.level = math::sin(self.level + f64::from(add.number) / 10.0);
        self.last = cx.sender();
        let later = cx.future(Duration::from_millis(250)).call(Self::later, add.number);
        self.timer = Some(later);
        cx.publish("board", "added", add.clone());
        cx.publish("board", "done", ());
    }

    fn later(&mut self, cx: &mut Cx<Self>, number: u32) {
        self.note(cx, "later");
        self.level = self.level * 2.0 + cx.random() - f64::from(number);
        self.last = cx.sender();
    }

    fn tick(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "tick");
        self.numbers.push(cx.random_below(1000) as i64);
        let excess = self.numbers.len().saturating_sub(6);
        self.numbers.drain(..excess);
    }

    fn set_mood(&mut self, cx: &mut Cx<Self>, mood: &Mood) {
        self.note(cx, "set_mood");
        self.mood = mood.clone();
    }

    fn make(&mut self, cx: &mut Cx<Self>, text: &String) {
        self.note(cx, "make");
        self.piece = cx.create::<Piece>(text);
        if let Some(piece) = self.piece {
            let named = cx.set_well_known("piece", piece).is_ok();
            self.numbers.push(named.into());
            let answer = cx.call(piece.id(), "grow", 2u64).ok();
            let answer = answer.and_then(|answer| answer.get::<u64>().ok());
            self.numbers.push(answer.map_or(-1, |answer| answer as i64));
        }
    }

    fn unmake(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "unmake");
        if let Some(piece) = self.piece.take() {
            self.numbers.push(cx.destroy(piece).into());
        }
    }

    fn stop(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "stop");
        if let Some(timer) = self.timer {
            self.numbers.push(cx.cancel(timer).into());
        }
        self.numbers.push(cx.cancel_all(Self::tick) as i64);
        cx.unsubscribe("board", "*", Self::nearby);
    }

    fn save(&mut self, cx: &mut Cx<Self>) {
        self.note(cx, "save");
        let saved = Saved { title: self.title.clone(), total: self.total() };
        self.numbers.push(cx.persist(&saved).is_ok().into());
    }

    fn fail_if_odd(&mut self, cx: &mut Cx<Self>, number: u8) {
        self.note(cx, "fail_if_odd");
        self.level = cx.random();
        cx.future(Duration::from_millis(1)).call(Self::later, 7);
        cx.publish("board", "broken", number);
        assert!(number.is_multiple_of(2), "{number} is odd");
    }

    fn light(&mut self, cx: &mut Cx<Self>, number: u8) {
        self.note(cx, "light");
        cx.future(Duration::from_millis(10)).call(Self::fail_if_odd, number);
        cx.future(Duration::ZERO).call(Self::later, 0);
    }

    /// The sum of the numbers.
    #[query]
    pub fn total(&self) -> i64 {
        self.numbers.iter().sum()
    }

    /// Not a handler, because the argument of a handler is owned.
    fn note(&mut self, cx: &mut Cx<Self>, handler: &str) {
        let heard = cx.topic().map(|topic| {
            let source = match topic.source {
                Source::Model(model) => model.to_string(),
                Source::View(view) => view.to_string(),
                Source::Reflector => "reflector".to_owned(),
            };
            format!(" {}/{} {source}", topic.scope, topic.event)
        });
        self.heard.push(format!("{handler}{}", heard.unwrap_or_default()));
        let excess = self.heard.len().saturating_sub(LINES);
        self.heard.drain(..excess);
    }
}

/// A model that the board makes.
#[derive(Debug)]
#[model(id = "vectors.piece", version = 1, code = "piece 1")]
pub struct Piece {
    text: String,
    sum: u64,
}

#[handlers]
impl Piece {
    fn init(cx: &mut Cx<Self>, text: &String) -> Self {
        cx.subscribe("board", "added", Self::hear);
        cx.future(Duration::from_millis(400)).call(Self::grow, 1);
        Self { text: text.clone(), sum: 0 }
    }

    fn hear(&mut self, cx: &mut Cx<Self>, add: &Add) {
        self.text.push_str(&add.text);
        cx.publish(cx.me(), "heard", self.sum);
    }

    fn grow(&mut self, cx: &mut Cx<Self>, by: u64) {
        self.sum += by;
        cx.answer(self.sum);
    }
}

/// Id of the app.
pub const APP_ID: &str = "org.example.vectors";

/// The app.
pub fn app() -> App {
    let builder = App::builder::<Board>(APP_ID).model::<Piece>().persists::<Saved>();
    builder.version(7).build().expect("the declaration is valid")
}

/// The options of the session.
pub fn options() -> Vec<u8> {
    let options = Options { title: "Tea".to_owned(), period_ms: 125 };
    teatime::to_bytes(&options).expect("a text and a number can be encoded")
}
