//! Versions of an app on a real server: the work of its users outlives an update.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use teatime::blobs::{BlobError, BlobHandle, Blobs};
use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedBlobs, SharedStorage};
use teatime::{
    App, Config, ConnectionState, Cx, DisconnectReason, MigrationError, NewerVersion, NoPrevious,
    NotPersisted, Persisted, SessionEvent, Vm, handlers, model,
};
use teatime_blobs::{MemoryFiles, VaultLimits, VaultUse};
use teatime_store::{DiskStore, MemoryDisk, MemoryStore, Shared};

use crate::peer::{Peer, agree, until};

#[derive(Serialize, Deserialize)]
struct SavedV1 {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct SavedV2 {
    lines: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedV3 {
    lines: Vec<(u32, String)>,
}

/// The persisted data of a board.
trait Layout: Persisted {
    fn of(text: &str) -> Self;
    fn text(&self) -> String;
}

impl Persisted for SavedV1 {
    const VERSION: u32 = 1;
    type Previous = NoPrevious;

    fn migrate(old: NoPrevious) -> Result<Self, String> {
        match old {}
    }
}

impl Layout for SavedV1 {
    fn of(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

impl Persisted for SavedV2 {
    const VERSION: u32 = 2;
    type Previous = SavedV1;

    fn migrate(old: SavedV1) -> Result<Self, String> {
        assert_ne!(old.text, "terrible", "this is");
        if old.text == "bad" { Err("this is bad".into()) } else { Ok(Self::of(&old.text)) }
    }
}

impl Layout for SavedV2 {
    fn of(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

impl Persisted for SavedV3 {
    const VERSION: u32 = 3;
    type Previous = SavedV2;

    fn migrate(old: SavedV2) -> Result<Self, String> {
        Ok(Self::of(&old.text()))
    }
}

impl Layout for SavedV3 {
    fn of(text: &str) -> Self {
        Self { lines: (1..).zip(text.lines().map(str::to_owned)).collect() }
    }

    fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|(_, line)| line.as_str()).collect();
        lines.join("\n")
    }
}

/// Like the second version, with a migration that accepts everything.
#[derive(Serialize, Deserialize)]
struct Repaired {
    lines: Vec<String>,
}

impl Persisted for Repaired {
    const VERSION: u32 = 2;
    type Previous = SavedV1;

    fn migrate(old: SavedV1) -> Result<Self, String> {
        Ok(Self::of(&old.text))
    }
}

impl Layout for Repaired {
    fn of(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// A board in one version of the app.
macro_rules! board {
    ($name:ident, $saved:ty, $version:literal) => {
        mod $name {
            use super::*;

            #[model(id = "board", version = $version)]
            pub(crate) struct Board {
                pub(crate) text: String,
            }

            #[handlers]
            impl Board {
                fn init(cx: &mut Cx<Self>, _: &()) -> Self {
                    cx.subscribe("board", "write", Self::write);
                    cx.subscribe("board", "persist", Self::persist);
                    cx.subscribe("board", "swell", Self::swell);
                    cx.subscribe("board", "clear", Self::clear);
                    let text = cx.persisted::<$saved>().map(|saved| saved.text());
                    Self { text: text.unwrap_or_default() }
                }

                fn write(&mut self, _: &mut Cx<Self>, text: String) {
                    self.text = text;
                }

                fn persist(&mut self, cx: &mut Cx<Self>, text: String) {
                    self.text = text;
                    cx.persist(&<$saved>::of(&self.text)).expect("it is small");
                }

                /// Persists far more than it was asked to.
                fn swell(&mut self, cx: &mut Cx<Self>, text: String) {
                    self.persist(cx, text.repeat(100_000));
                }

                fn clear(&mut self, _: &mut Cx<Self>) {
                    self.text.clear();
                }
            }

            pub(crate) fn app(version: u32) -> App {
                let app = App::builder::<Board>("org.example.board").version(version);
                app.persists::<$saved>().build().expect("it is sound")
            }

            pub(crate) fn text(vm: &Vm) -> Option<String> {
                vm.root::<Board>().map(|board| board.text.clone())
            }
        }
    };
}

board!(v1, SavedV1, 1);
board!(v2, SavedV2, 2);
board!(v3, SavedV3, 3);
board!(repaired, Repaired, 4);

fn app(version: u32) -> App {
    match version {
        1 => v1::app(1),
        2 => v2::app(2),
        3 => v3::app(3),
        // The repair of the second version.
        _ => repaired::app(2),
    }
}

fn config(version: u32, password: Option<&str>) -> Config {
    Config::new(app(version), "room", &()).expect("it has no options").password(password)
}

/// A participant with one version of the app.
impl Peer {
    fn join(server: &Server, version: u32, password: Option<&str>) -> Self {
        Self::of(config(version, password), server)
    }

    fn live(server: &Server, version: u32, password: Option<&str>) -> Self {
        Self::live_of(config(version, password), server)
    }

    fn text(&self) -> String {
        let vm = self.driver.vm();
        let text = vm.and_then(|vm| v1::text(vm).or(v2::text(vm)).or(v3::text(vm)));
        text.or(vm.and_then(repaired::text)).expect("it has joined")
    }

    fn publish(&mut self, event: &str, text: &str) {
        self.driver.publish("board", event, text).expect("it has joined");
    }

    /// Persists a text, and waits until it is stored.
    fn persist(&mut self, text: &str) {
        self.persist_with(text, &mut []);
    }

    /// Persists with the votes of the others. A participant that does not vote delays the first votes.
    fn persist_with(&mut self, text: &str, others: &mut [&mut Self]) {
        self.publish("persist", text);
        let mut all = vec![self];
        all.extend(others.iter_mut().map(|other| &mut **other));
        until("what is persisted", &mut all, |all| {
            all[0].text() == text && !all[0].driver.has_unpersisted()
        });
    }

    fn not_persisted(&self) -> Vec<NotPersisted> {
        let told = |event: &SessionEvent| match event {
            SessionEvent::NotPersisted(why) => Some(why.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(told).collect()
    }

    fn hints(&self) -> usize {
        let is_hint = |event: &&SessionEvent| matches!(event, SessionEvent::OtherPassword(_));
        self.heard.iter().filter(is_hint).count()
    }

    fn newer(&self) -> Vec<u32> {
        let newer = |event: &SessionEvent| match event {
            SessionEvent::NewerVersion(NewerVersion { newer, .. }) => Some(*newer),
            _ => None,
        };
        self.heard.iter().filter_map(newer).collect()
    }

    fn failure(&self) -> Option<DisconnectReason> {
        self.heard.iter().find_map(|event| match event {
            SessionEvent::Connection(ConnectionState::Failed, reason) => reason.clone(),
            _ => None,
        })
    }
}

fn fast() -> ReflectorConfig {
    ReflectorConfig { persist_interval: 20_000, vote_retry: 20_000, ..ReflectorConfig::default() }
}

fn in_memory() -> Server {
    let config = ServerConfig { reflector: fast(), ..ServerConfig::default() };
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

fn on_disk(directory: &Path) -> Server {
    let store = DiskStore::open_dir(directory, teatime_store::Config::default()).expect("it opens");
    let shared = Shared::with_threads(store, None).expect("the threads start");
    let storage = Some(SharedStorage::new(shared));
    let config = ServerConfig { reflector: fast(), storage, ..ServerConfig::default() };
    Server::bind("127.0.0.1:0", config).expect("there is a free port")
}

#[test]
fn work_goes_from_the_first_version_to_the_third_and_both_go_on_side_by_side() {
    for password in [None, Some("pw")] {
        let server = in_memory();
        let mut first = Peer::live(&server, 1, password);
        first.publish("write", "not persisted");
        first.persist("one\ntwo");
        let told = |peer: &Peer| {
            let is_told = |event: &&SessionEvent| matches!(event, SessionEvent::Persisted { .. });
            peer.heard.iter().filter(is_told).count()
        };
        assert_eq!(told(&first), 1);
        first.publish("write", "only in the first version");
        let mut second = Peer::live(&server, 2, password);
        assert_eq!(second.text(), "one\ntwo");
        // No vote has happened: a participant that joins now begins with the same data, and computes the same state.
        let mut late = Peer::live(&server, 2, password);
        assert_eq!(late.text(), "one\ntwo");
        agree(&mut [&mut second, &mut late]);
        until("the word", &mut [&mut first], |all| all[0].newer() == [2]);
        second.persist_with("one\ntwo\nthree", &mut [&mut late]);
        let mut third = Peer::live(&server, 3, password);
        assert_eq!(third.text(), "one\ntwo\nthree");
        until("the word", &mut [&mut first, &mut second, &mut late], |all| {
            all[0].newer() == [2, 3] && all[1].newer() == [3] && all[2].newer() == [3]
        });
        assert_eq!(third.newer(), [0; 0]);
        // Data that the older versions persist now stays theirs.
        second.persist_with("late", &mut [&mut late]);
        first.publish("persist", "later");
        until("its text", &mut [&mut first], |all| all[0].text() == "later");
        let mut fourth = Peer::live(&server, 3, password);
        assert_eq!(fourth.text(), "one\ntwo\nthree");
        agree(&mut [&mut third, &mut fourth]);
        // A client with another password, or none, begins a version in a room of its own, and gets a hint.
        let others = [Some("other"), if password.is_none() { Some("pw") } else { None }];
        for other in others {
            let mut other = Peer::live(&server, 4, other);
            until("a hint", &mut [&mut other], |all| all[0].hints() == 1);
            assert_eq!(other.text(), "");
        }
        assert_eq!((first.hints(), second.hints(), third.hints()), (0, 0, 0));
        let right = Peer::live(&server, 4, password);
        assert_eq!(right.text(), "late");
    }
}

#[test]
fn an_older_version_overwrites_nothing_and_hears_of_the_newer_data() {
    let server = in_memory();
    let mut third = Peer::live(&server, 3, None);
    third.persist("third");
    third.driver.leave();
    drop(third);
    // It cannot read the data, and begins without.
    let mut first = Peer::live(&server, 1, None);
    assert_eq!(first.text(), "");
    until("the word", &mut [&mut first], |all| all[0].newer() == [3]);
    let word = NewerVersion { newer: 3, own: 1 }.to_string();
    assert!(word.contains("(3)") && word.contains("version 1"), "{word}");
    first.persist("first");
    let second = Peer::live(&server, 2, None);
    assert_eq!(second.text(), "first");
    drop((first, second));
    let again = Peer::live(&server, 3, None);
    assert_eq!(again.text(), "third");
}

#[test]
fn all_clients_hear_of_a_full_disk_and_the_data_is_stored_once_there_is_room() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk.clone(), teatime_store::Config::default());
    let storage = Some(SharedStorage::new(Shared::new(store.expect("it is new"))));
    let config = ServerConfig { reflector: fast(), storage, ..ServerConfig::default() };
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let (mut one, mut two) = (Peer::live(&server, 1, None), Peer::live(&server, 1, None));
    one.persist("before");
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    disk.set_capacity(Some(used as u64 + 50_000));
    // The event itself fits.
    one.publish("swell", "ab");
    let full = NotPersisted::NotStored("the disk is full".into());
    until("the word", &mut [&mut one, &mut two], |all| {
        all.iter().all(|peer| peer.not_persisted() == [full.clone()])
    });
    assert!(full.to_string().contains("cannot be stored for now: the disk is full"), "{full}");
    assert!(one.driver.has_unpersisted() && two.driver.has_unpersisted());
    let second = Peer::live(&server, 2, None);
    assert_eq!(second.text(), "before");
    drop(second);
    // The reflector tries again by itself, and reports it only once.
    disk.set_capacity(None);
    until("storage", &mut [&mut one, &mut two], |all| {
        all.iter().all(|peer| !peer.driver.has_unpersisted())
    });
    assert_eq!((one.not_persisted().len(), two.not_persisted().len()), (1, 1));
    let second = Peer::live(&server, 2, None);
    assert_eq!(second.text(), one.text());
    assert_eq!(second.text().len(), 200_000);
}

#[test]
fn a_version_behind_two_newer_ones_keeps_its_data() {
    let server = in_memory();
    let mut first = Peer::live(&server, 1, None);
    first.persist("first");
    for version in [2, 3] {
        Peer::live(&server, version, None).persist(&format!("by {version}"));
    }
    first.persist("late");
    assert_eq!(first.not_persisted(), []);
    let client = &first.driver;
    assert!(!client.has_unpersisted() && client.newer_version() == Some(3));
}

#[test]
fn a_migration_that_fails_touches_nothing_and_a_repaired_version_begins_with_what_there_was() {
    for (text, why) in [
        ("bad", "this is bad"),
        ("terrible", "it panicked: assertion `left != right` failed: this is"),
    ] {
        let server = in_memory();
        let mut first = Peer::live(&server, 1, Some("pw"));
        first.persist(text);
        for version in [2, 3] {
            let mut broken = Peer::join(&server, version, Some("pw"));
            until("a failure", &mut [&mut broken], |all| all[0].failure().is_some());
            let Some(DisconnectReason::Migration(error)) = broken.failure() else {
                panic!("{:?}", broken.failure())
            };
            let MigrationError::Failed { from: 1, to: 2, why: said } = &error else {
                panic!("{error}")
            };
            assert!(said.starts_with(why), "{said}");
            assert_eq!(broken.failure().map(|reason| reason.code()), Some("MIGRATION"));
            let told = broken.failure().map(|reason| reason.to_string()).unwrap_or_default();
            assert!(told.contains("from version 1 to version 2"), "{told}");
        }
        let repaired = Peer::live(&server, 4, Some("pw"));
        assert_eq!(repaired.text(), text);
        assert_eq!(first.text(), text);
    }
}

/// Whether any file of a directory contains these bytes.
fn stands_in(directory: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(directory).expect("it is there").flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return stands_in(&path, wanted);
        }
        let bytes = fs::read(&path).expect("it can be read");
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn what_is_persisted_outlives_the_server_and_stays_secret() {
    const SECRET: &str = "a line that no user would write";
    for password in [None, Some("pw")] {
        let directory = tempfile::tempdir().expect("there is room");
        let server = on_disk(directory.path());
        let mut first = Peer::live(&server, 1, password);
        first.persist(SECRET);
        drop((first, server));
        assert_eq!(stands_in(directory.path(), SECRET.as_bytes()), password.is_none());
        // The session begins with the data, and goes on with later events without a snapshot.
        let server = on_disk(directory.path());
        let mut second = Peer::live(&server, 2, password);
        assert_eq!(second.text(), SECRET);
        second.publish("write", "and on");
        until("its text", &mut [&mut second], |all| all[0].text() == "and on");
        let hash = |peer: &Peer| peer.driver.vm().map(Vm::hash);
        drop((second, server));
        let server = on_disk(directory.path());
        let mut again = Peer::live(&server, 2, password);
        let mut late = Peer::live(&server, 2, password);
        until("the text", &mut [&mut again, &mut late], |all| {
            all.iter().all(|peer| peer.text() == "and on")
        });
        agree(&mut [&mut again, &mut late]);
        assert!(hash(&again).is_some());
        drop((again, late, server));
        // The first version still has its session.
        let server = on_disk(directory.path());
        let mut first = Peer::live(&server, 1, password);
        assert_eq!(first.text(), SECRET);
        // The second version is not in the room, and has persisted nothing itself.
        first.step();
        assert_eq!(first.newer(), [0; 0]);
    }
}

#[test]
fn a_blob_to_which_only_persisted_data_refers_stays_until_that_is_replaced() {
    for password in [None, Some("pw")] {
        let limits = VaultLimits { grace: 0, ..VaultLimits::IN_MEMORY };
        let blobs = SharedBlobs::open(MemoryFiles::default(), limits).expect("it is in memory");
        // Every event in the log triggers a snapshot.
        let reflector = ReflectorConfig { snapshot_after_events: 1, ..fast() };
        let config =
            ServerConfig { blobs: Some(blobs.clone()), reflector, ..ServerConfig::default() };
        let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
        let data = Blobs::new(&self::config(1, password), &server.url()).expect("it is right");
        let photo = vec![7; 1_000_000];
        let handle: BlobHandle = data.store(&photo).expect("there is room");
        let mut first = Peer::live(&server, 1, password);
        first.persist(&handle.to_string());
        // The state of the second version has other persisted data, and that of the first has none.
        let mut second = Peer::live(&server, 2, password);
        assert_eq!(second.text(), handle.to_string());
        second.persist("nothing");
        agree(&mut [&mut first]);
        agree(&mut [&mut second]);
        for _ in 0..3 {
            blobs.collect().expect("it is in memory");
        }
        assert_eq!(data.fetch(handle).as_ref(), Ok(&photo));
        first.persist("nothing");
        // A snapshot counts when a second participant has loaded it, or agrees.
        let (mut third, mut fourth) =
            (Peer::live(&server, 1, password), Peer::live(&server, 2, password));
        let all = &mut [&mut first, &mut second, &mut third, &mut fourth];
        until("the end of the photo", all, |all| {
            // Both logs grow, so there are snapshots.
            all.iter_mut().for_each(|peer| peer.publish("write", "nothing"));
            blobs.collect().expect("it is in memory");
            blobs.usage() == VaultUse::default()
        });
        assert_eq!(data.fetch(handle), Err(BlobError::Unknown));
    }
}
