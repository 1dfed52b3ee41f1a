//! A participant whose line broke before it heard of its newest sends, and who comes back to a real server that has
//! forgotten it: each send is in the session exactly once, or the participant hears that its fate is unknown.

use std::path::Path;
use std::sync::Arc;

use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedStorage};
use teatime::{App, Config, Cx, Driver, Receipt, SessionEvent, Unconfirmed, handlers, model};
use teatime_store::{DiskStore, Shared};

use crate::gate::Gate;
use crate::peer::{Peer, agree, until};

/// Writes down every number that it hears.
#[model(id = "ledger", version = 1)]
struct Ledger {
    numbers: Vec<u64>,
}

#[handlers]
impl Ledger {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe("ledger", "add", Self::add);
        Self { numbers: Vec::new() }
    }

    fn add(&mut self, _: &mut Cx<Self>, number: u64) {
        self.numbers.push(number);
    }
}

/// What the participant sends before its line breaks, and while it is broken.
const BEFORE: [u64; 3] = [101, 102, 103];
const MEANWHILE: u64 = 104;

/// How many departed senders the servers remember, but where a test takes the default.
const REMEMBERED: usize = 3;

fn config(password: Option<&str>) -> Config {
    let app = App::builder::<Ledger>("test.ledger").build().expect("it is sound");
    Config::new(app, "room", &()).expect("it has no options").password(password)
}

/// A server in memory, or with the data in a directory.
fn server(directory: Option<&Path>, remembered: usize, snapshot_after_events: u64) -> Server {
    let storage = directory.map(|directory| {
        let store = DiskStore::open_dir(directory, teatime_store::Config::default());
        let shared = Shared::with_threads(store.expect("it opens"), None);
        SharedStorage::new(shared.expect("the threads start"))
    });
    let reflector = ReflectorConfig {
        gather_window: 1_000,
        rejoin_limit: 100_000,
        vote_retry: 20_000,
        max_departed: remembered,
        snapshot_after_events,
        ..ReflectorConfig::default()
    };
    let config = ServerConfig { reflector, storage, ..ServerConfig::default() };
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

fn numbers(peer: &Peer) -> Vec<u64> {
    let ledger = peer.driver.vm().and_then(|vm| vm.root::<Ledger>());
    ledger.map(|ledger| ledger.numbers.clone()).unwrap_or_default()
}

fn add(peer: &mut Peer, number: u64) -> Receipt {
    peer.driver.publish("ledger", "add", &number).expect("there is room")
}

fn views(peer: &Peer) -> usize {
    peer.driver.vm().map_or(0, |vm| vm.views().count())
}

/// Each of these joins, says one thing, and leaves. The server forgets the oldest sender that left.
fn others_come_and_go(server: &Server, password: Option<&str>, count: usize) {
    for number in 0..count {
        let mut other = Peer::live_of(config(password), server);
        let receipt = add(&mut other, 1_000 + number as u64);
        until("its event", &mut [&mut other], |all| all[0].driver.is_applied(receipt));
    }
}

/// A watcher, and a participant whose line was cut after the server had ordered [`BEFORE`] and before it said so. The
/// models know that it has gone.
fn cut_off(server: &Server, password: Option<&str>) -> (Peer, Peer, Gate, Vec<Receipt>) {
    let mut watcher = Peer::live_of(config(password), server);
    let gate = Gate::to(server.local_addr());
    let driver = Driver::join(config(password), &gate.url(), Arc::new(|| {}));
    let mut lost = Peer { driver: driver.expect("it is right"), heard: Vec::new() };
    until("both", &mut [&mut watcher, &mut lost], |all| all.iter().all(|peer| views(peer) == 2));
    gate.deafen();
    let mut receipts: Vec<_> = BEFORE.iter().map(|number| add(&mut lost, *number)).collect();
    until("its events", &mut [&mut watcher, &mut lost], |all| numbers(all[0]) == BEFORE);
    assert_eq!(numbers(&lost), [0; 0], "it has heard nothing");
    gate.close();
    lost.driver.reconnect();
    until("its exit", &mut [&mut watcher, &mut lost], |all| views(all[0]) == 1);
    receipts.push(add(&mut lost, MEANWHILE));
    (watcher, lost, gate, receipts)
}

fn unconfirmed(peer: &Peer) -> Vec<Unconfirmed> {
    let found = |event: &SessionEvent| match event {
        SessionEvent::Unconfirmed(sends) => Some(*sends),
        _ => None,
    };
    peer.heard.iter().filter_map(found).collect()
}

/// How often each of the lost participant's numbers is in the session.
fn counts(peer: &Peer) -> Vec<usize> {
    let all = numbers(peer);
    let sent = BEFORE.into_iter().chain([MEANWHILE]);
    sent.map(|number| all.iter().filter(|one| **one == number).count()).collect()
}

/// The servers of the tests: in memory, and with data, then also another one with the same data.
fn kinds() -> impl Iterator<Item = (Option<tempfile::TempDir>, bool, Option<&'static str>)> {
    let directory = || Some(tempfile::tempdir().expect("there is room"));
    [(None, false), (directory(), false), (directory(), true)]
        .into_iter()
        .zip([None, Some("secret"), None])
        .map(|((directory, restarts), password)| (directory, restarts, password))
}

/// The whole way: cut off, forgotten, perhaps a server that starts again, and back. Returns both participants.
fn come_back(
    directory: Option<&Path>,
    restarts: bool,
    password: Option<&str>,
    (remembered, snapshot_after_events): (usize, u64),
) -> (Server, Peer, Peer, Vec<Receipt>) {
    let mut server = self::server(directory, remembered, snapshot_after_events);
    let (mut watcher, mut lost, gate, receipts) = cut_off(&server, password);
    others_come_and_go(&server, password, remembered + 1);
    if snapshot_after_events < u64::MAX {
        // Two who agree, so that the snapshot stands.
        let mut second = Peer::live_of(config(password), &server);
        for _ in 0..2 * snapshot_after_events {
            let receipt = add(&mut watcher, 0);
            until("its event", &mut [&mut watcher, &mut second], |all| {
                all[0].driver.is_applied(receipt)
            });
        }
        agree(&mut [&mut watcher, &mut second]);
    }
    if restarts {
        drop((watcher, server));
        server = self::server(directory, remembered, snapshot_after_events);
        watcher = Peer::live_of(config(password), &server);
    }
    gate.open(server.local_addr());
    lost.driver.reconnect();
    until("its last event", &mut [&mut watcher, &mut lost], |all| {
        all.iter().all(|peer| numbers(peer).contains(&MEANWHILE)) && views(all[0]) == 2
    });
    agree_without_clearing(&mut watcher, &mut lost);
    (server, watcher, lost, receipts)
}

fn agree_without_clearing(watcher: &mut Peer, lost: &mut Peer) {
    let heard = std::mem::take(&mut lost.heard);
    agree(&mut [watcher, lost]);
    lost.heard.splice(0..0, heard);
}

#[test]
fn what_a_forgotten_sender_finds_in_the_log_is_not_ordered_again() {
    for (directory, restarts, password) in kinds() {
        let directory = directory.as_ref().map(tempfile::TempDir::path);
        let (_server, watcher, lost, receipts) =
            come_back(directory, restarts, password, (REMEMBERED, u64::MAX));
        for peer in [&watcher, &lost] {
            assert_eq!(counts(peer), [1; 4], "{restarts} {:?}", numbers(peer));
        }
        assert_eq!(unconfirmed(&lost), []);
        assert!(receipts.iter().all(|receipt| lost.driver.is_applied(*receipt)));
    }
}

#[test]
fn what_a_forgotten_sender_cannot_find_because_of_a_snapshot_is_reported_and_not_ordered_again() {
    for (directory, restarts, password) in kinds() {
        let directory = directory.as_ref().map(tempfile::TempDir::path);
        let (_server, watcher, lost, receipts) =
            come_back(directory, restarts, password, (REMEMBERED, 5));
        for peer in [&watcher, &lost] {
            assert_eq!(counts(peer), [1; 4], "{restarts} {:?}", numbers(peer));
        }
        let [sends] = unconfirmed(&lost)[..] else { panic!("once: {:?}", lost.heard) };
        assert_eq!(sends.count, BEFORE.len() as u64);
        assert!(sends.to_string().contains("check them"), "{sends}");
        // What was published while the line was broken had not been sent, so its fate is known.
        let applied = receipts.iter().map(|receipt| lost.driver.is_applied(*receipt));
        assert_eq!(applied.collect::<Vec<_>>(), [false, false, false, true]);
    }
}

/// The same with a server as it is, which remembers a thousand.
#[test]
fn a_thousand_departed_senders_later_nothing_is_ordered_twice() {
    let remembered = ReflectorConfig::default().max_departed;
    let (_server, watcher, lost, _) = come_back(None, false, None, (remembered, u64::MAX));
    assert_eq!((counts(&watcher), counts(&lost)), (vec![1; 4], vec![1; 4]));
    assert_eq!(unconfirmed(&lost), []);
    assert_eq!(numbers(&watcher).len(), remembered + 1 + 4);
}
