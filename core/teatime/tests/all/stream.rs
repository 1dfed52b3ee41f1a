//! Sessions as streams of events, run by an executor.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::StreamExt;
use teatime::server::Server;
use teatime::{
    App, Config, ConnectionState, Cx, DisconnectReason, Handling, Model, Session, SessionEvent,
    SessionStream, TypedTopic, View, ViewContext, handlers, model,
};
use tokio::runtime::Builder;
use tokio::time::timeout;

const ADD: TypedTopic<u64> = TypedTopic::new("sum", "add");
const CHANGED: TypedTopic<u64> = TypedTopic::new("sum", "changed");
const LONG: Duration = Duration::from_secs(60);

#[model(id = "sum", version = 1)]
struct Sum {
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe_topic(&ADD, Self::add);
        Self { sum: 0 }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        cx.publish_topic(&CHANGED, self.sum);
    }
}

#[model(id = "panics", version = 1)]
struct Panics {}

#[handlers]
impl Panics {
    fn init(_cx: &mut Cx<Self>, _: &()) -> Self {
        panic!("this model panics on purpose");
    }
}

/// Hands on each sum. Adds ten to the first one, and a hundred later.
struct Adder<M>(std::marker::PhantomData<M>);

impl<M: Model> View for Adder<M> {
    type Model = M;
    type Args = Sender<u64>;

    fn attach(cx: &mut ViewContext<'_, Self>, sums: &mut Self::Args) -> Self {
        let sums = sums.clone();
        cx.subscribe_topic(&CHANGED, Handling::Queued, move |_, cx, sum| {
            sums.send(sum).expect("the test waits");
            if sum == 1 {
                cx.publish_topic(&ADD, &10).expect("it has joined");
                // Only the timer ends the wait for this.
                cx.after(Duration::from_millis(20), |_, cx| {
                    cx.publish_topic(&ADD, &100).expect("it has joined");
                });
            }
        });
        Self(std::marker::PhantomData)
    }
}

fn join<M: Model>(server: &Server) -> (SessionStream<Adder<M>>, Receiver<u64>) {
    let app = App::builder::<M>("test.stream").build().expect("it is sound");
    let config = Config::new(app, "room", &()).expect("nothing can be encoded");
    let (sums, heard) = channel();
    let session = Session::join_with(config, &server.url(), sums).expect("the address is right");
    (session.into_stream(), heard)
}

/// Runs until the stream ends, for a minute at most.
async fn events<M: Model>(
    session: &mut SessionStream<Adder<M>>,
    mut on_event: impl FnMut(&mut SessionStream<Adder<M>>, &SessionEvent),
) {
    while let Some(event) = timeout(LONG, session.next()).await.expect("the session is awake") {
        on_event(session, &event);
    }
}

fn block_on<T>(run: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(run)
}

#[test]
fn a_stream_runs_the_session_its_view_its_timers_and_calls_of_other_threads() {
    let server = Server::bind("127.0.0.1:0", Default::default()).expect("there is a free port");
    let (mut session, sums) = join::<Sum>(&server);
    let remote = session.remote();
    let (ready, is_ready) = channel();
    let adding = std::thread::spawn(move || {
        is_ready.recv().expect("it joins");
        let add = |session: &mut Session<Adder<Sum>>| {
            session.publish_topic(&ADD, &1).expect("it has joined");
        };
        remote.run(add).expect("the session runs");
        assert_eq!([(); 3].map(|()| sums.recv().expect("it comes")), [1, 11, 111]);
        remote.run(Session::leave).expect("the session runs");
    });
    block_on(events(&mut session, |_, event| {
        if matches!(event, SessionEvent::ViewReady) {
            ready.send(()).expect("the thread waits");
        }
    }));
    adding.join().expect("it does not panic");
    assert_eq!(session.connection_state(), ConnectionState::Left);
    assert_eq!(session.failure(), None);
}

#[test]
fn a_stream_ends_with_a_reason_if_the_session_cannot_go_on() {
    let server = Server::bind("127.0.0.1:0", Default::default()).expect("there is a free port");
    let (mut session, _sums) = join::<Panics>(&server);
    let mut last = None;
    block_on(events(&mut session, |_, event| last = Some(event.clone())));
    assert_eq!(session.connection_state(), ConnectionState::Failed);
    assert!(matches!(session.failure(), Some(DisconnectReason::Model(_))), "{last:?}");
}
