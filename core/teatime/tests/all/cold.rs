//! Who is there when a session continues on a real server, in memory or with data and another server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedStorage};
use teatime::{App, Config, Cx, Driver, VIEW_EXIT, VIEW_JOIN, ViewId, handlers, model};
use teatime_store::{DiskStore, Shared};

use crate::gate::Gate;
use crate::peer::{Peer, agree, until};

/// Writes down who comes and goes.
#[model(id = "porter", version = 1)]
struct Porter {
    seen: Vec<(bool, ViewId)>,
    notes: u64,
}

#[handlers]
impl Porter {
    fn init(cx: &mut Cx<Self>, _: &()) -> Self {
        cx.subscribe(cx.session_scope(), VIEW_JOIN, Self::joined);
        cx.subscribe(cx.session_scope(), VIEW_EXIT, Self::left);
        cx.subscribe("porter", "note", Self::note);
        Self { seen: Vec::new(), notes: 0 }
    }

    fn joined(&mut self, _: &mut Cx<Self>, view: ViewId) {
        self.seen.push((true, view));
    }

    fn note(&mut self, _: &mut Cx<Self>, (): &()) {
        self.notes += 1;
    }

    fn left(&mut self, _: &mut Cx<Self>, view: ViewId) {
        self.seen.push((false, view));
    }
}

/// How long a participant may be away.
const REJOIN_LIMIT: Duration = Duration::from_millis(100);

fn config(password: Option<&str>) -> Config {
    let app = App::builder::<Porter>("test.porter").build().expect("it is sound");
    Config::new(app, "room", &()).expect("it has no options").password(password)
}

fn server(directory: Option<&Path>, snapshot_after_events: u64) -> Server {
    let storage = directory.map(|directory| {
        let store = DiskStore::open_dir(directory, teatime_store::Config::default());
        let shared = Shared::with_threads(store.expect("it opens"), None);
        SharedStorage::new(shared.expect("the threads start"))
    });
    let reflector = ReflectorConfig {
        gather_window: 1_000,
        rejoin_limit: REJOIN_LIMIT.as_micros() as u64,
        vote_retry: 20_000,
        snapshot_after_events,
        ..ReflectorConfig::default()
    };
    let config = ServerConfig { reflector, storage, ..ServerConfig::default() };
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

fn seen(peer: &Peer) -> Vec<(bool, ViewId)> {
    let porter = peer.driver.vm().and_then(|vm| vm.root::<Porter>());
    porter.map(|porter| porter.seen.clone()).unwrap_or_default()
}

fn notes(peer: &Peer) -> u64 {
    peer.driver.vm().and_then(|vm| vm.root::<Porter>()).map_or(0, |porter| porter.notes)
}

fn through(gate: &Gate, password: Option<&str>) -> Peer {
    let driver = Driver::join(config(password), &gate.url(), Arc::new(|| {}));
    Peer { driver: driver.expect("it is right"), heard: Vec::new() }
}

/// All vanish without a goodbye. When the first newcomer comes, it is too late for all of them to come back.
fn continues(directory: Option<&Path>, restarts: bool, password: Option<&str>, snapshots: bool) {
    let snapshot_after_events = if snapshots { 2 } else { u64::MAX };
    let mut server = self::server(directory, snapshot_after_events);
    let gate = Gate::to(server.local_addr());
    let mut former: Vec<_> = (0..3).map(|_| through(&gate, password)).collect();
    let mut all: Vec<_> = former.iter_mut().collect();
    until("all three", &mut all, |all| all.iter().all(|peer| seen(peer).len() == 3));
    // Before its first event a session is not stored.
    all[0].driver.publish("porter", "note", &()).expect("it is small");
    until("the note", &mut all, |all| all.iter().all(|peer| notes(peer) == 1));
    if snapshots {
        agree(&mut all);
    }
    let before = seen(all[0]);
    gate.close();
    // Nothing of them gets through, so they do not leave.
    drop(former);
    // The test is about this time: with no participant left, no event marks its end.
    std::thread::sleep(2 * REJOIN_LIMIT);
    if restarts {
        drop(server);
        server = self::server(directory, snapshot_after_events);
        // A restart gives everybody the time again.
        std::thread::sleep(2 * REJOIN_LIMIT);
    }
    let mut newcomer = Peer::live_of(config(password), &server);
    until("the newcomer", &mut [&mut newcomer], |all| seen(all[0]).len() == 7);
    let all = seen(&newcomer);
    assert_eq!(all[..3], before);
    let mut exits: Vec<_> = all[3..6].to_vec();
    let mut expected: Vec<_> = before.iter().map(|(_, view)| (false, *view)).collect();
    exits.sort_unstable();
    expected.sort_unstable();
    assert_eq!(exits, expected, "{restarts} {snapshots}");
    assert_eq!(all[6], (true, newcomer.driver.view_id()));
    assert_eq!(newcomer.driver.vm().map(|vm| vm.views().count()), Some(1));
}

#[test]
fn acceptance_9_a_continued_session_has_the_exits_of_all_former_participants_before_the_first_join()
{
    for (password, snapshots) in [(None, false), (Some("secret"), true)] {
        continues(None, false, password, snapshots);
        for restarts in [false, true] {
            let directory = tempfile::tempdir().expect("there is room");
            continues(Some(directory.path()), restarts, password, snapshots);
        }
    }
}
