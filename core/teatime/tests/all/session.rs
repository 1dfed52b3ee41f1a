//! Sessions with views on a real server: the frame, the life of a view, and what a view cannot do.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use teatime::server::{Server, ServerConfig};
use teatime::{
    App, Config, ConnectionState, Cx, Handle, Handling, ModelId, Payload, PublishError, Session,
    SessionEvent, Source, Topic, VIEW_JOIN, View, ViewContext, ViewId, handlers, model,
};

const PATIENCE: Duration = Duration::from_secs(120);
const BUDGET: Duration = Duration::from_millis(50);

/// Counts, and publishes each change in three ways.
#[model(id = "counter", version = 1)]
struct Counter {
    count: u64,
    joins: u64,
    page: Option<Handle<Page>>,
}

#[handlers]
impl Counter {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("counter", "add", Self::add);
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        Self { count: 0, joins: 0, page: cx.create::<Page>(&()) }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        for _ in 0..number {
            self.count += 1;
            cx.publish("counter", "changed", self.count);
        }
        if let Some(sender) = cx.sender() {
            cx.publish(sender, "thanks", number);
        }
        let draw = cx.random_u64();
        cx.publish("counter", "drawn", draw);
    }

    fn joined(&mut self, cx: &mut Cx<Self>, _view: ViewId) {
        self.joins += 1;
        cx.publish("counter", "changed", self.count);
    }

    #[query]
    fn count(&self) -> u64 {
        self.count
    }
}

/// A model below the root.
#[model(id = "page", version = 1)]
struct Page {
    text: String,
}

#[handlers]
impl Page {
    fn init(_cx: &mut Cx<Self>, _: &()) -> Self {
        Self { text: "first".into() }
    }
}

/// Writes down the events that it gets.
#[derive(Default)]
struct Watcher {
    heard: Vec<String>,
    /// What it heard by wildcards.
    topics: Vec<Topic>,
    updates: u64,
}

impl View for Watcher {
    type Model = Counter;
    /// How often a view was built.
    type Args = Rc<Cell<u32>>;

    fn attach(cx: &mut ViewContext<'_, Self>, built: &mut Self::Args) -> Self {
        built.set(built.get() + 1);
        let me = cx.view_id();
        let (joins, count) = (cx.model().joins, cx.model().count);
        let page = cx.model().page.and_then(|page| cx.get(page)).map(|page| page.text.clone());
        cx.subscribe("counter", "changed", Handling::Queued, |view: &mut Self, _, count: u64| {
            view.heard.push(format!("queued {count}"));
        });
        cx.subscribe("counter", "changed", Handling::OncePerFrame, |view: &mut Self, _, c: u64| {
            view.heard.push(format!("newest {c}"));
        });
        cx.subscribe("counter", "changed", Handling::Immediate, |view: &mut Self, cx, c: u64| {
            view.heard.push(format!("at once {c} of {}", cx.model().count));
        });
        cx.subscribe(me.to_string(), "thanks", Handling::Queued, |view: &mut Self, cx, n: u64| {
            cx.publish_to_views("local", "echo", Payload::new(n)).expect("there is room");
            view.heard.push(format!("thanked for {n}"));
        });
        cx.subscribe("local", "echo", Handling::Queued, |view: &mut Self, _, n: u64| {
            view.heard.push(format!("echo {n}"));
        });
        cx.subscribe("counter", "changed", Handling::Queued, |_: &mut Self, _, _: String| {
            unreachable!("a number is not a text");
        });
        assert_eq!(cx.topic(), None);
        cx.subscribe("*", "echo", Handling::Queued, |view: &mut Self, cx, _: u64| {
            view.topics.extend(cx.topic().cloned());
        });
        cx.subscribe("counter", "*", Handling::Queued, |view: &mut Self, cx, _: u64| {
            view.topics.extend(cx.topic().cloned());
        });
        let heard = vec![format!("attached at {joins} joins, {count}, {page:?}")];
        Self { heard, topics: Vec::new(), updates: 0 }
    }

    fn update(&mut self, cx: &mut ViewContext<'_, Self>) {
        assert_eq!(cx.topic(), None);
        self.updates += 1;
    }
}

fn server() -> Server {
    let mut config = ServerConfig::default();
    config.reflector.rejoin_limit = 1_000_000;
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

fn config() -> Config {
    let app = App::builder::<Counter>("test.counter").model::<Page>().build().expect("sound");
    Config::new(app, "room", &()).expect("nothing can be encoded")
}

fn live(server: &Server) -> Session<Watcher> {
    let mut session = Session::join(config(), &server.url()).expect("the address is right");
    step_until(&mut session, |session| session.view().is_some());
    session
}

fn step_until<V: View>(session: &mut Session<V>, done: impl Fn(&Session<V>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(session) {
        assert!(Instant::now() < deadline, "{:?}", session.connection_state());
        session.wait(Duration::from_millis(100));
        session.step(BUDGET);
    }
}

fn heard(session: &Session<Watcher>) -> Vec<String> {
    session.view().expect("there is a view").heard.clone()
}

#[test]
fn acceptance_35_36_37_the_view_is_built_after_its_own_join_from_what_it_reads() {
    let server = server();
    let mut session = live(&server);
    let receipt = session.publish("counter", "add", &1u64).expect("it is small");
    step_until(&mut session, |session| session.is_applied(receipt));
    assert_eq!(heard(&session)[0], "attached at 1 joins, 0, Some(\"first\")");
    // Its first event is its own publish, not its join.
    assert_eq!(heard(&session)[1], "at once 1 of 1");
}

#[test]
fn the_frame_has_its_fixed_order() {
    let server = server();
    let mut session = live(&server);
    let receipt = session.publish("counter", "add", &3u64).expect("it is small");
    step_until(&mut session, |session| session.is_applied(receipt));
    let expected = [
        // A turn ends before its events are delivered.
        "at once 1 of 3",
        "at once 2 of 3",
        "at once 3 of 3",
        "queued 1",
        "queued 2",
        "queued 3",
        "thanked for 3",
        "echo 3",
        "newest 3",
    ];
    assert_eq!(heard(&session)[1..], expected);
    let updates = session.view().expect("there is a view").updates;
    session.step(BUDGET);
    assert_eq!(session.view().expect("there is a view").updates, updates + 1);
}

#[test]
fn a_view_learns_the_topic_that_it_hears_by_a_wildcard() {
    let server = server();
    let mut session = live(&server);
    let receipt = session.publish("counter", "add", &1u64).expect("it is small");
    step_until(&mut session, |session| session.is_applied(receipt));
    let (model, view) = (Source::Model(ModelId::ROOT), Source::View(session.view_id()));
    let expected =
        [("counter", "changed", model), ("counter", "drawn", model), ("local", "echo", view)];
    let topics = &session.view().expect("there is a view").topics;
    let topics: Vec<_> = topics.iter().map(|t| (&*t.scope, &*t.event, t.source)).collect();
    assert_eq!(topics, expected);
}

#[test]
fn acceptance_19_nothing_changes_before_the_event_has_come_back() {
    let server = server();
    let mut session = live(&server);
    let receipt = session.publish("counter", "add", &1u64).expect("it is small");
    assert_eq!(session.model().map(Counter::count), Some(0));
    assert!(!session.is_applied(receipt));
    step_until(&mut session, |session| session.is_applied(receipt));
    assert_eq!(session.model().map(Counter::count), Some(1));
}

#[test]
fn acceptance_18_the_views_random_differs_and_does_not_touch_the_models() {
    let server = server();
    let (mut one, mut two) = (live(&server), live(&server));
    let draws = |session: &mut Session<Watcher>| {
        session.with_view(|_, cx| [cx.random_u64(), cx.random_u64()]).expect("there is a view")
    };
    assert_ne!(draws(&mut one), draws(&mut two));
    let receipt = one.publish("counter", "add", &1u64).expect("it is small");
    step_until(&mut one, |one| one.is_applied(receipt));
    step_until(&mut two, |two| two.model().is_some_and(|model| model.count == 1));
    one.request_vote().expect("it is live");
    // Both must step, or the other's vote would not come. A session may not change its thread, so they
    // take turns.
    let mut verdicts = [None, None];
    let deadline = Instant::now() + PATIENCE;
    while verdicts.iter().any(Option::is_none) {
        assert!(Instant::now() < deadline, "no verdict");
        for (session, verdict) in [&mut one, &mut two].into_iter().zip(&mut verdicts) {
            if let Some(SessionEvent::Verdict { hash, agreed, of, .. }) =
                session.next_event(Duration::from_millis(5))
            {
                *verdict = Some((hash, agreed, of));
            }
        }
    }
    assert_eq!(verdicts[0], verdicts[1]);
    assert!(matches!(verdicts[0], Some((Some(_), 2, 2))), "{verdicts:?}");
}

#[test]
fn a_reconnect_that_is_not_seamless_builds_a_new_view_from_the_same_args() {
    let server = server();
    let address = server.local_addr();
    let built = Rc::new(Cell::new(0));
    let mut session = Session::<Watcher>::join_with(config(), &server.url(), built.clone())
        .expect("the address is right");
    step_until(&mut session, |session| session.view().is_some());
    assert_eq!(built.get(), 1);
    let receipt = session.publish("counter", "add", &2u64).expect("it is small");
    step_until(&mut session, |session| session.is_applied(receipt));
    drop(server);
    step_until(&mut session, |session| session.connection_state() == ConnectionState::Reconnecting);
    // What is published while the connection is broken is sent later.
    let receipt = session.publish("counter", "add", &5u64).expect("there is room");
    let _server = Server::bind(address, ServerConfig::default()).expect("the port is free again");
    step_until(&mut session, |session| session.is_applied(receipt));
    // The new server does not have the session. The five arrived, after the new join.
    assert_eq!(session.model().map(Counter::count), Some(5));
    assert_eq!(built.get(), 2);
    assert_eq!(heard(&session)[0], "attached at 1 joins, 0, Some(\"first\")");
    assert!(heard(&session).contains(&"thanked for 5".to_owned()));
}

#[test]
fn in_the_background_a_participant_leaves_after_the_time_of_its_choice() {
    let server = server();
    let join = || Session::<Watcher>::join(config(), &server.url()).expect("right");
    let (mut phone, mut other) = (join(), join());
    step_until(&mut phone, |session| session.view().is_some());
    let views = |session: &Session<Watcher>| session.vm().map(|vm| vm.view_count());
    step_until(&mut other, |session| views(session) == Some(2));
    phone.leave_after(Duration::from_millis(200));
    // As if the system had frozen it: it stands still. The reflector's own limits are ten seconds and more.
    step_until(&mut other, |session| views(session) == Some(1));
    step_until(&mut phone, |session| session.connection_state() == ConnectionState::Reconnecting);
    phone.reconnect();
    step_until(&mut phone, |session| session.connection_state() == ConnectionState::Live);
    step_until(&mut other, |session| views(session) == Some(2));
}

#[test]
fn acceptance_41_an_event_can_be_addressed_to_one_view() {
    let server = server();
    let (mut one, mut other) = (live(&server), live(&server));
    assert_ne!(one.view_id(), other.view_id());
    one.publish("counter", "add", &3u64).expect("it is small");
    step_until(&mut one, |session| heard(session).contains(&"thanked for 3".to_owned()));
    step_until(&mut other, |session| heard(session).contains(&"at once 3 of 3".to_owned()));
    other.publish("counter", "add", &4u64).expect("it is small");
    step_until(&mut other, |session| heard(session).contains(&"thanked for 4".to_owned()));
    assert!(!heard(&other).contains(&"thanked for 3".to_owned()));
}

#[test]
fn publish_says_why_it_fails_and_leaving_twice_is_allowed() {
    let server = server();
    let mut session = Session::<Watcher>::join(config(), &server.url()).expect("right");
    let early = session.publish("counter", "add", &1u64);
    assert_eq!(early, Err(PublishError::NotJoined));
    step_until(&mut session, |session| session.view().is_some());
    let large = session.publish("counter", "add", &"x".repeat(1 << 20));
    assert!(matches!(large, Err(PublishError::TooLarge { most: 65_536, .. })), "{large:?}");
    session.leave();
    session.leave();
    assert_eq!(session.publish("counter", "add", &1u64), Err(PublishError::Over));
    assert_eq!(session.connection_state(), ConnectionState::Left);
    assert!(session.view().is_none() && session.model().is_none());
}

#[test]
fn an_invalid_address_is_refused_by_join() {
    for wrong in ["", "http://a", "ws://a?b", "a b"] {
        assert!(Session::<Watcher>::join(config(), wrong).is_err(), "{wrong}");
    }
}
