//! An app in Rust of which there is a twin in C, tests/c/twin.c. In one and the same session both hear, call, draw and publish
//! the same, in the same order.

use std::fmt::Write as _;
use std::process::Command;

use teatime::testing::SyncTest;
use teatime::{
    AccessError, App, CallError, Cx, Duration, Handle, ModelId, Source, VIEW_EXIT, VIEW_JOIN,
    ViewId, ViewInfo, handlers, model,
};

use crate::support::{PREFIX, compile, root, run, scratch};

#[model(id = "desk")]
struct Desk {
    clerk: Option<Handle<Clerk>>,
    trace: String,
}

#[handlers]
impl Desk {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::left);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::all_joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::all_left);
        cx.subscribe("desk", "*", Self::work);
        let mut desk = Self { clerk: cx.create::<Clerk>(&()), trace: String::new() };
        desk.write_topic(cx, "init");
        desk
    }

    fn joined(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        self.write_topic(cx, "joined");
        self.write_batch(cx, "", &[view]);
    }

    fn left(&mut self, cx: &mut Cx<Self>, view: ViewId) {
        self.write_topic(cx, "left");
        self.write_batch(cx, "", &[view]);
    }

    fn all_joined(&mut self, cx: &mut Cx<Self>, views: Vec<ViewId>) {
        self.write_batch(cx, "all joined ", &views);
    }

    fn all_left(&mut self, cx: &mut Cx<Self>, views: Vec<ViewInfo>) {
        let ids: Vec<_> = views.iter().map(|view| view.view_id).collect();
        self.write_batch(cx, "all left ", &ids);
    }

    fn work(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.write_topic(cx, "work");
        let clerk = self.clerk.expect("init made it").id();
        self.ask(cx, clerk, "double", number);
        self.ask(cx, ModelId(99), "double", number);
        self.ask(cx, clerk, "treble", number);
        self.ask(cx, ModelId::ROOT, "work", number);
        for _ in 0..5 {
            let drawn = cx.random_range(-(number as i64), number as i64);
            let below = cx.random_below(number);
            self.write(format_args!("drawn {drawn} {below}"));
        }
        let fraction = (cx.random() * 9_007_199_254_740_992.0) as u64;
        self.write(format_args!("fraction {fraction}"));
        cx.future(Duration::from_millis(5)).call(Self::later, number);
        cx.publish("clerk", "echo", number + 1);
        self.write_topic(cx, "work still");
    }

    fn later(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.write_topic(cx, "later");
        cx.publish("clerk", "late", number);
    }
}

impl Desk {
    fn write(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.trace, "{line}").expect("there is memory");
    }

    fn write_batch(&mut self, cx: &Cx<Self>, what: &str, ids: &[ViewId]) {
        let bytes = |ids: &mut dyn Iterator<Item = ViewId>| {
            ids.map(|id| id.0[0].to_string()).collect::<Vec<_>>().join(" ")
        };
        let ids = bytes(&mut ids.iter().copied());
        let there = bytes(&mut cx.views());
        self.write(format_args!(
            "{what}{ids} of{}{there}",
            if there.is_empty() { "" } else { " " }
        ));
    }

    fn write_topic(&mut self, cx: &Cx<Self>, what: &str) {
        let now = cx.now().as_micros();
        let Some(topic) = cx.topic() else {
            return self.write(format_args!("{what} hears no event at {now}"));
        };
        let is_session = *topic.scope == *cx.session_id().to_string();
        let scope = if is_session { "the session" } else { &topic.scope };
        let from = if let Source::Model(model) = topic.source { model.0 } else { 0 };
        let by = cx.sender().map_or_else(String::new, |sender| format!(" by {}", sender.0[0]));
        self.write(format_args!(
            "{what} hears {scope}/{} from model {from}{by} at {now}",
            topic.event
        ));
    }

    fn ask(&mut self, cx: &mut Cx<Self>, model: ModelId, handler: &str, number: u64) {
        let answer = match cx.call(model, handler, number) {
            Ok(answer) => answer.get::<u64>().expect("a number").to_string(),
            Err(CallError::Access(AccessError::Unknown(_))) => "no such model".into(),
            Err(CallError::UnknownHandler(_)) => "no such handler".into(),
            Err(CallError::Access(AccessError::Running(_))) => "it runs".into(),
            Err(error) => panic!("{error}"),
        };
        self.write(format_args!("{handler}: {answer}"));
    }
}

#[model(id = "clerk")]
struct Clerk {
    calls: u64,
    trace: String,
}

#[handlers]
impl Clerk {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("clerk", "*", Self::echoed);
        Self { calls: 0, trace: String::new() }
    }

    fn double(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.write(cx, number);
        self.calls += 1;
        let answer = 2 * number + cx.random_below(3);
        cx.answer(answer);
    }

    fn echoed(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.write(cx, number);
    }
}

impl Clerk {
    fn write(&mut self, cx: &Cx<Self>, number: u64) {
        let topic = cx.topic().expect("an event leads here");
        let from = if let Source::Model(model) = topic.source { model.0 } else { 0 };
        let (scope, event) = (&topic.scope, &topic.event);
        writeln!(self.trace, "{scope}/{event} from model {from}: {number}").expect("memory");
    }
}

/// The session that the twin plays.
fn played() -> String {
    let app = App::builder::<Desk>("test.twin").model::<Clerk>().build().expect("it is sound");
    let mut test = SyncTest::new(&app, &()).expect("it starts").every(1);
    let view = |number: u8| ViewId([number; 16]);
    for number in 1..=3 {
        test.join(view(number)).expect("it is in order");
    }
    for (sender, event, number) in [(1, "work", 7_u64), (2, "more work", 1000), (3, "work", 3)] {
        test.event(view(sender), "desk", event, &number).expect("it is in order");
        test.pass(Duration::from_millis(3)).expect("it is in order");
    }
    test.exit(view(2)).expect("it is in order");
    test.join(view(2)).expect("it is in order");
    test.pass(Duration::from_millis(100)).expect("it is in order");
    let desk: &Desk = test.vm().root().expect("it is the root");
    let handle = desk.clerk.expect("init made it");
    let clerk = test.vm().get(handle).expect("it is there");
    format!("{}\n{}{}\n{}", handle.id().0, desk.trace, clerk.calls, clerk.trace)
}

#[test]
fn a_model_in_c_hears_calls_and_draws_what_its_twin_in_rust_does() {
    let program = scratch("twin");
    let source = |name: &str| root().join("tests/c").join(name);
    let files = [source("twin.c"), source("support.c")];
    compile("gcc", &PREFIX, "teatime cmocka", &["-std=c11"], &files, &program);
    let in_c = run(&mut Command::new(&program));
    let in_rust = played();
    // It must say something: joins, exits, work, draws, calls, future messages.
    for part in
        ["all joined 3 of 1 2 3", "all left 2 of", "more work", "it runs", "drawn -", "later"]
    {
        assert!(in_rust.contains(part), "{part} is missing: {in_rust}");
    }
    for (number, (c, rust)) in in_c.lines().zip(in_rust.lines()).enumerate() {
        assert_eq!(c, rust, "line {number} of\n{in_c}");
    }
    assert_eq!(in_c.len(), in_rust.len(), "{in_c}\n---\n{in_rust}");
}
