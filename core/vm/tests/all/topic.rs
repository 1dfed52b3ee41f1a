//! A handler learns which topic it hears, and who published the event.

use teatime_vm::{
    App, Cx, Duration, External, ModelId, SessionId, Source, Time, Topic, USER_ENTER, VIEW_EXIT,
    ViewId, ViewInfo, Vm, handlers, model, to_bytes,
};

const SESSION: SessionId = SessionId([3; 32]);
const SENDER: ViewId = ViewId([9; 16]);

fn line(name: &str, topic: Option<Topic>) -> String {
    match topic {
        None => format!("{name}: none"),
        Some(Topic { scope, event, source }) => {
            let source = match source {
                Source::Model(model) => model.to_string(),
                Source::View(view) if view == SENDER => "sender".to_owned(),
                Source::View(view) => view.to_string(),
                Source::Reflector => "reflector".to_owned(),
            };
            format!("{name}: {scope}/{event} from {source}")
                .replace(&SESSION.to_string(), "session")
        }
    }
}

/// Hears everything, and writes down on which topic.
#[model(id = "listener", version = 1)]
struct Listener {
    heard: Vec<String>,
}

#[handlers]
impl Listener {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("*", "*", Self::all);
        cx.subscribe("talk", "*", Self::scope);
        cx.subscribe("*", "loud", Self::event);
        cx.subscribe("talk", "loud", Self::exact);
        cx.subscribe("do", "work", Self::work);
        cx.subscribe(cx.session_scope(), USER_ENTER, Self::entered);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exited);
        Self { heard: vec![line("init", cx.topic())] }
    }

    fn note(&mut self, name: &str, cx: &Cx<Self>) {
        self.heard.push(line(name, cx.topic()));
    }

    fn all(&mut self, cx: &mut Cx<Self>) {
        self.note("all", cx);
    }

    fn scope(&mut self, cx: &mut Cx<Self>) {
        self.note("scope", cx);
    }

    fn event(&mut self, cx: &mut Cx<Self>) {
        self.note("event", cx);
    }

    fn exact(&mut self, cx: &mut Cx<Self>) {
        self.note("exact", cx);
    }

    fn entered(&mut self, cx: &mut Cx<Self>, views: Vec<ViewId>) {
        self.note(&format!("{} entered", views.len()), cx);
    }

    fn exited(&mut self, cx: &mut Cx<Self>, _view: ViewId) {
        self.note("exited", cx);
    }

    fn later(&mut self, cx: &mut Cx<Self>) {
        self.note("future", cx);
        cx.publish("talk", "quiet", ());
        self.note("future still", cx);
    }

    fn work(&mut self, cx: &mut Cx<Self>) {
        self.note("work", cx);
        cx.publish("talk", "loud", ());
        let child = cx.create::<Child>(&()).expect("the app declares it");
        let told = cx.update(child, |child, cx| {
            cx.publish("child", "told", ());
            child.made_by.clone() + ", " + &line("update", cx.topic())
        });
        self.heard.push(told.expect("the child does not run"));
        assert!(cx.destroy(child));
        self.note("work still", cx);
        cx.future(Duration::ZERO).call(Self::later, ());
    }
}

/// Is made and told something by the listener.
#[model(id = "child", version = 1)]
struct Child {
    made_by: String,
}

#[handlers]
impl Child {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        Self { made_by: line("create", cx.topic()) }
    }
}

fn start() -> Vm {
    let app = App::builder::<Listener>("test.topic").model::<Child>().build().expect("sound");
    Vm::new(&app, SESSION, &[0xc0]).expect("it starts")
}

fn deliver(vm: &mut Vm, scope: &str, event: &str) {
    let payload = to_bytes(&()).expect("it can be encoded");
    let external = External::Event { sender: SENDER, scope, event, payload: &payload };
    vm.deliver(Time::ZERO, vm.seq() + 1, &external).expect("it is in order");
}

fn heard(vm: &Vm) -> &[String] {
    &vm.root::<Listener>().expect("the listener is the root model").heard
}

#[test]
fn a_handler_learns_the_topic_that_it_hears_by_a_wildcard() {
    let mut vm = start();
    // The second topic is not in any table: only wildcards match it.
    deliver(&mut vm, "talk", "loud");
    deliver(&mut vm, "far", "away");
    let expected = [
        "init: none",
        "all: talk/loud from sender",
        "scope: talk/loud from sender",
        "event: talk/loud from sender",
        "exact: talk/loud from sender",
        "all: far/away from sender",
    ];
    assert_eq!(heard(&vm), expected);
}

#[test]
fn events_of_models_have_their_own_topic_and_future_messages_none() {
    let mut vm = start();
    deliver(&mut vm, "do", "work");
    vm.advance(Time::from_micros(1), u64::MAX);
    let expected = [
        "init: none",
        "all: do/work from sender",
        "work: do/work from sender",
        // Code that the handler runs itself.
        "create: do/work from sender, update: do/work from sender",
        "work still: do/work from sender",
        // After the handler has returned. The child is gone, and is named as the source.
        "all: talk/loud from M1",
        "scope: talk/loud from M1",
        "event: talk/loud from M1",
        "exact: talk/loud from M1",
        "all: child/told from M2",
        "future: none",
        "future still: none",
        "all: talk/quiet from M1",
        "scope: talk/quiet from M1",
    ];
    assert_eq!(heard(&vm), expected);
    assert_eq!(vm.drain_faults(), []);
}

#[test]
fn joins_and_exits_come_from_the_reflector_under_one_name() {
    let mut vm = start();
    let view = |number| ViewInfo { view_id: ViewId([number; 16]), view_data: None };
    let (first, others) = ([view(1)], [view(2), view(3)]);
    for presence in [
        External::Presence { exited: &[], joined: &first },
        External::Presence { exited: &first, joined: &others },
    ] {
        vm.deliver(Time::ZERO, vm.seq() + 1, &presence).expect("it is in order");
    }
    let expected = [
        "init: none",
        "all: session/view-join from reflector",
        "1 entered: session/view-join from reflector",
        "all: session/view-exit from reflector",
        "exited: session/view-exit from reflector",
        "all: session/view-join from reflector",
        "all: session/view-join from reflector",
        "2 entered: session/view-join from reflector",
    ];
    assert_eq!(heard(&vm), expected);
}

#[test]
fn the_topic_does_not_depend_on_what_the_views_of_this_client_watch() {
    let [mut plain, mut watching] = [start(), start()];
    watching.watch("far", "away");
    watching.watch("*", "*");
    for vm in [&mut plain, &mut watching] {
        deliver(vm, "far", "away");
        deliver(vm, "do", "work");
    }
    assert_eq!(heard(&plain), heard(&watching));
    assert_eq!(plain.hash(), watching.hash());
    let mut published = Vec::new();
    watching.drain_published(&mut published);
    let sources: Vec<_> = published.iter().map(|event| (&*event.event, event.source)).collect();
    let expected = [("loud", Source::Model(ModelId(1))), ("told", Source::Model(ModelId(2)))];
    assert_eq!(sources, expected);
}

/// Subscribes while it hears an event.
#[model(id = "latecomer", version = 1)]
struct Latecomer {
    heard: u32,
}

#[handlers]
impl Latecomer {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("*", "*", Self::begin);
        Self { heard: 0 }
    }

    fn begin(&mut self, cx: &mut Cx<Self>) {
        cx.subscribe("talk", "loud", Self::hear);
    }

    fn hear(&mut self, _cx: &mut Cx<Self>) {
        self.heard += 1;
    }
}

#[test]
fn the_first_subscription_to_a_topic_hears_the_next_event_whatever_the_views_of_this_client_watch()
{
    let app =
        App::builder::<Latecomer>("test.latecomer").build().expect("the declaration is valid");
    let unit = to_bytes(&()).expect("a unit can be encoded");
    let start = || Vm::new(&app, SESSION, &unit).expect("the session starts");
    let [mut plain, mut watching] = [start(), start()];
    watching.watch("talk", "loud");
    for vm in [&mut plain, &mut watching] {
        for heard in 0..3 {
            deliver(vm, "talk", "loud");
            assert_eq!(vm.root::<Latecomer>().map(|model| model.heard), Some(heard));
        }
    }
    assert_eq!(plain.hash(), watching.hash());
}
