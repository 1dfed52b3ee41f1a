//! A whole room loses its reflector, and is back within seconds.

#[path = "all/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Program, private_directory, teatime};
use teatime::{
    App, Config, ConnectionState, Cx, Driver, Handling, SessionEvent, VIEW_EXIT, VIEW_JOIN, ViewId,
    ViewInfo, handlers, model,
};
use teatime_tests::pace::{PATIENCE, assert_in_time};
use teatime_tests::usage::{memory, most_open_files, open_files};

/// Counts joins, exits and posts.
#[model(id = "crowd", version = 1)]
struct Crowd {
    joins: u64,
    exits: u64,
    posts: u64,
}

#[handlers]
impl Crowd {
    fn init(cx: &mut Cx<Self>, (): &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::join);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::exit);
        cx.subscribe("crowd", "post", Self::post);
        Self { joins: 0, exits: 0, posts: 0 }
    }

    fn join(&mut self, _cx: &mut Cx<Self>, _view: ViewInfo) {
        self.joins += 1;
    }

    fn exit(&mut self, _cx: &mut Cx<Self>, _view: ViewId) {
        self.exits += 1;
    }

    fn post(&mut self, _cx: &mut Cx<Self>) {
        self.posts += 1;
    }
}

/// `TEATIME_STORM=N` plays with N clients.
fn clients() -> usize {
    std::env::var("TEATIME_STORM").ok().and_then(|clients| clients.parse().ok()).unwrap_or(1_000)
}

/// All must be back by then, on the machine on which the time was promised.
const BACK: Duration = Duration::from_secs(5);

fn reflector(data: &Path, listen: &str) -> (Program, String) {
    let (reflector, url) =
        teatime().reflector_at(listen, &["--data", data.to_str().expect("UTF-8")]);
    (reflector, url.trim_start_matches("ws://").to_owned())
}

/// Real clients, each with its own connection and model, stepped by one thread when they wake it.
struct Clients {
    all: Vec<Driver>,
    woken: mpsc::Receiver<usize>,
    synced: BTreeSet<usize>,
    /// Number of views that did not survive.
    lost: u64,
    failed: Vec<String>,
}

impl Clients {
    fn join(number: usize, rooms: usize, url: &str) -> Self {
        let app = App::builder::<Crowd>("teatime.crowd").build().expect("it is sound");
        let (waker, woken) = mpsc::channel();
        let mut clients =
            Self { all: Vec::new(), woken, synced: BTreeSet::new(), lost: 0, failed: Vec::new() };
        for at in 0..number {
            let name = format!("room {}", at % rooms);
            let mut config = Config::new(app.clone(), &name, &()).expect("nothing to encode");
            config.ticks_per_second = 1;
            let waker = waker.clone();
            let wake = Arc::new(move || {
                // The receiver has gone when the test is over.
                let _ = waker.send(at);
            });
            clients.all.push(Driver::join(config, url, wake).expect("there are threads and files"));
            if at % 50 == 0 {
                clients.run(Duration::from_millis(5));
            }
        }
        clients
    }

    fn step(&mut self, at: usize) {
        let driver = &mut self.all[at];
        driver.step(Duration::from_millis(100));
        while let Some(event) = driver.poll_event() {
            match event {
                SessionEvent::Synced(true) => {
                    self.synced.insert(at);
                }
                SessionEvent::Synced(false) => {
                    self.synced.remove(&at);
                }
                SessionEvent::ViewLost => self.lost += 1,
                SessionEvent::Connection(ConnectionState::Failed, reason) => {
                    self.failed.push(format!("{reason:?}"));
                }
                SessionEvent::ViewReady => driver.step(Duration::from_millis(100)),
                _ => {}
            }
        }
        while driver.poll_delivery(Handling::Queued).is_some() {}
    }

    /// Steps the clients that want to be stepped, for this long.
    fn run(&mut self, span: Duration) {
        let end = Instant::now() + span;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            match self.woken.recv_timeout(rest) {
                Ok(at) => self.step(at),
                Err(_) => break,
            }
        }
        // Their own timers: for pings, and for events that could not be sent yet.
        for at in 0..self.all.len() {
            if self.all[at].next_due().is_some_and(|due| due.is_zero()) {
                self.step(at);
            }
        }
    }

    /// Runs until all are synced, and returns how long that took.
    fn until_synced(&mut self, patience: Duration) -> Duration {
        let started = Instant::now();
        while self.synced.len() < self.all.len() {
            self.run(Duration::from_millis(10));
            let waited = started.elapsed();
            let (synced, all) = (self.synced.len(), self.all.len());
            assert!(waited < patience, "{synced} of {all} synced in {waited:?}: {:?}", self.failed);
        }
        started.elapsed()
    }

    /// Runs until all have noticed that the reflector is gone.
    fn until_cut(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let is_cut = |driver: &Driver| driver.connection_state() == ConnectionState::Reconnecting;
        while !self.all.iter().all(is_cut) {
            self.run(Duration::from_millis(5));
            assert!(Instant::now() < deadline, "not all noticed");
        }
        self.synced.clear();
    }

    /// Runs until all have heard this number of posts.
    fn until_heard(&mut self, posts: u64) {
        let deadline = Instant::now() + PATIENCE;
        while (0..self.all.len()).any(|at| self.crowd(at).posts < posts) {
            self.run(Duration::from_millis(10));
            assert!(Instant::now() < deadline, "not all clients have heard {posts} posts");
        }
    }

    fn crowd(&self, at: usize) -> &Crowd {
        self.all[at].vm().and_then(|vm| vm.root()).expect("it runs")
    }
}

fn storm(name: &str, number: usize, rooms: usize) {
    // Each client has a socket, and its thread needs more to wait.
    let (wanted, most) = (number * 5 + 200, most_open_files().expect("the system tells it"));
    assert!(
        wanted <= most,
        "{number} clients need {wanted} open files, {most} are allowed: raise it with ulimit -n"
    );
    let data = private_directory(&format!("storm-{name}"));
    let (mut server, address) = reflector(&data, "127.0.0.1:0");
    let mut clients = Clients::join(number, rooms, &format!("ws://{address}"));
    let joined = clients.until_synced(PATIENCE);
    for driver in &mut clients.all[..rooms] {
        driver.publish("crowd", "post", &()).expect("it has joined");
    }
    clients.until_heard(1);
    assert!(clients.all.iter().enumerate().all(|(at, _)| clients.crowd(at).posts == 1));

    let cut = Instant::now();
    server.signal("KILL");
    server.exit_code();
    clients.until_cut();
    (server, _) = reflector(&data, &address);
    let listening = Instant::now();
    clients.until_synced(BACK + PATIENCE);
    let (since_cut, since_listening) = (cut.elapsed(), listening.elapsed());
    println!(
        "{}",
        json!({
            "clients": number, "rooms": rooms, "joined_s": joined.as_secs_f64(),
            "back_s_after_the_cut": since_cut.as_secs_f64(),
            "back_s_after_it_listens": since_listening.as_secs_f64(),
            "open_files": open_files(std::process::id()),
            "reflector_memory": memory(server.child.id()),
            "reflector_open_files": open_files(server.child.id()),
        })
    );
    assert_eq!(clients.failed, Vec::<String>::new());
    assert_in_time(since_cut, BACK);
    // New events reach all clients, and no view has exited.
    for driver in &mut clients.all[..rooms] {
        driver.publish("crowd", "post", &()).expect("it has joined");
    }
    clients.until_heard(2);
    // An exit would come within the time for which the reflector gathers them.
    clients.run(Duration::from_secs(1));
    let each = (number / rooms) as u64;
    for at in 0..number {
        let Crowd { joins, exits, posts } = clients.crowd(at);
        assert_eq!((*joins, *exits, *posts), (each, 0, 2), "client {at}");
    }
    assert_eq!(clients.lost, 0, "seamless for all");
}

#[test]
fn a_room_of_a_thousand_is_back_within_five_seconds() {
    storm("one", clients(), 1);
    storm("many", clients(), clients() / 4);
}
