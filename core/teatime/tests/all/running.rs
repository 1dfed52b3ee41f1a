//! The ready-made loop of a session, and calls from other threads.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use teatime::server::Server;
use teatime::{
    App, Config, ConnectionState, Cx, DisconnectReason, Handling, Model, Session, SessionEvent,
    SessionGone, View, ViewContext, handlers, model,
};

#[model(id = "sum", version = 1)]
struct Sum {
    sum: u64,
}

#[handlers]
impl Sum {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("sum", "add", Self::add);
        Self { sum: 0 }
    }

    fn add(&mut self, cx: &mut Cx<Self>, number: u64) {
        self.sum += number;
        cx.publish("sum", "changed", self.sum);
    }
}

/// A model that cannot be made.
#[model(id = "hopeless", version = 1)]
struct Hopeless {}

#[handlers]
impl Hopeless {
    fn init(_cx: &mut Cx<Self>, _: &()) -> Self {
        panic!("this model panics on purpose");
    }
}

/// Hands on each sum.
struct Watcher<M>(std::marker::PhantomData<M>);

impl<M: Model> View for Watcher<M> {
    type Model = M;
    type Args = mpsc::Sender<u64>;

    fn attach(cx: &mut ViewContext<'_, Self>, sums: &mut Self::Args) -> Self {
        let sums = sums.clone();
        cx.subscribe("sum", "changed", Handling::Queued, move |_, _, sum| {
            sums.send(sum).expect("the test waits");
        });
        Self(std::marker::PhantomData)
    }
}

fn server() -> Server {
    Server::bind("127.0.0.1:0", Default::default()).expect("there is a free port")
}

fn join<M: Model>(server: &Server) -> (Session<Watcher<M>>, mpsc::Receiver<u64>) {
    let app = App::builder::<M>("test.running").build().expect("it is sound");
    let config = Config::new(app, "room", &()).expect("nothing can be encoded");
    let (sums, heard) = mpsc::channel();
    (Session::join_with(config, &server.url(), sums).expect("the address is right"), heard)
}

#[test]
fn the_loop_runs_calls_of_other_threads_in_order_and_ends_when_one_leaves() {
    let server = server();
    let (mut session, sums) = join::<Sum>(&server);
    let (remote, (live, is_live)) = (session.remote(), mpsc::channel());
    let typing = std::thread::spawn(move || {
        is_live.recv().expect("it joins");
        for number in [1_u64, 20, 300] {
            let add = move |session: &mut Session<Watcher<Sum>>| {
                session.publish("sum", "add", &number).expect("it has joined");
            };
            remote.run(add).expect("the session runs");
        }
        assert_eq!([(); 3].map(|()| sums.recv().expect("it comes")), [1, 21, 321]);
        remote.run(Session::leave).expect("the session runs");
        remote
    });
    let ended = session.run(|_, event| {
        if matches!(event, SessionEvent::ViewReady) {
            live.send(()).expect("the thread waits");
        }
    });
    assert_eq!(ended, Ok(()));
    assert_eq!(session.connection_state(), ConnectionState::Left);
    let remote = typing.join().expect("it does not panic");
    drop(session);
    assert_eq!(remote.run(|_| unreachable!("the session is gone")), Err(SessionGone));
}

#[test]
fn the_loop_ends_with_the_reason_if_the_session_cannot_go_on() {
    let server = server();
    let (mut session, _sums) = join::<Hopeless>(&server);
    let ended = session.run(|_, _| ());
    assert!(
        matches!(&ended, Err(DisconnectReason::Model(why)) if why.contains("panics on purpose")),
        "{ended:?}"
    );
}

#[test]
fn a_call_of_another_thread_ends_a_wait() {
    let server = server();
    let (mut session, _sums) = join::<Sum>(&server);
    // Nothing else can end a wait any longer.
    session.leave();
    session.step(Duration::from_millis(50));
    let (remote, (done, is_done)) = (session.remote(), mpsc::channel());
    let start = Instant::now();
    let calling = std::thread::spawn(move || remote.run(move |_| done.send(()).expect("it waits")));
    while is_done.try_recv().is_err() {
        session.wait(Duration::from_secs(60));
        session.step(Duration::from_millis(50));
    }
    assert!(start.elapsed() < Duration::from_secs(60));
    calling.join().expect("it does not panic").expect("the session runs");
}
