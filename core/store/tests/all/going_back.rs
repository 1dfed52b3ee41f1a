//! The history that a checkpoint has replaced: how long a store retains it, what it counts as, and how a session goes back.

use crate::common::content::{Content, RETAIN, content, history_that_goes_back};
use crate::common::handle::{Handle, checkpoint, record, records};
use crate::common::world::{SECOND, World};
use crate::common::{id, small};
use teatime_reflector::storage::RecordKind::Ordered;
use teatime_reflector::storage::{Answer, Request};
use teatime_reflector::{Config as ReflectorConfig, ConnId};
use teatime_store::{
    Config, Durability, Error, Key, MemoryDisk, MemoryStore, Rollback, Store, check, list, load,
    plan_rollback, rollback,
};
use teatime_wire::{
    ClientMessage, CloseReason, Digest, Envelope, Join, SecretKey, Send, ServerMessage, SessionId,
    SnapshotInfo, SnapshotPart, Vote,
};

/// A session with a checkpoint at 2, and one at 4 that retains what it has replaced.
fn two_checkpoints() -> (MemoryDisk, MemoryStore) {
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), Config::default()).expect("a new store");
    fill(&mut store);
    (disk, store)
}

fn fill<D: teatime_store::Disk>(store: &mut Store<D>) {
    store.begin(id(1), b"head").expect("begun");
    (1..=5).for_each(|seq| store.append(id(1), seq, Ordered, &[7; 100]).expect("taken"));
    store.checkpoint(id(1), 2, &[8; 1_000]).expect("written");
    store.checkpoint_after(id(1), 4, &[9; 1_000], Some(2)).expect("written");
}

fn previous<D: teatime_store::Disk>(store: &Store<D>) -> Option<u64> {
    store.infos()[0].previous
}

fn seqs<D: teatime_store::Disk>(store: &Store<D>) -> (Option<u64>, Vec<u64>) {
    seqs_of(store, 1)
}

fn seqs_of<D: teatime_store::Disk>(store: &Store<D>, session: u8) -> (Option<u64>, Vec<u64>) {
    let stored = store.load(id(session)).expect("readable").expect("it exists");
    let records = stored.records.iter().map(|record| record.seq).collect();
    (stored.checkpoint.map(|checkpoint| checkpoint.seq), records)
}

#[test]
fn every_step_of_a_history_that_goes_back_leaves_what_it_should() {
    for segment_bytes in [200, 700, 100_000] {
        let (disk, config) = (MemoryDisk::default(), small(Durability::Process, segment_bytes));
        let mut store = MemoryStore::open(disk.clone(), config.clone()).expect("a new store");
        let (mut wanted, mut committed) = (Content::new(), Content::new());
        for step in history_that_goes_back() {
            step.take(&mut store).expect("nothing fails");
            step.apply(&mut wanted);
            if step.commits() {
                committed = wanted.clone();
            }
            assert_eq!(content(&store).expect("readable"), committed, "{step:?}");
        }
        let stats = store.stats();
        drop(store);
        let store = MemoryStore::open(disk, config).expect("it opens");
        assert_eq!(content(&store).expect("readable"), wanted);
        assert_eq!(store.stats(), stats, "what is counted is what is there");
    }
}

/// Cleaning carries the entry of the older checkpoint, and records between the two, behind that of the newer one.
#[test]
fn a_history_survives_the_cleaning_of_the_log() {
    for segment_bytes in [300, 700, 1_500] {
        let (disk, config) = (MemoryDisk::default(), small(Durability::Process, segment_bytes));
        let mut store = MemoryStore::open(disk.clone(), config.clone()).expect("a new store");
        store.begin(id(2), b"busy").expect("begun");
        fill(&mut store);
        store.go_back(id(1), 2).expect("written");
        store.checkpoint_after(id(1), 4, &[9; 1_000], Some(2)).expect("written");
        let wanted = store.load(id(1)).expect("readable");
        assert!(wanted.as_ref().is_some_and(|one| one.previous.is_some()));
        for seq in 1..=150 {
            store.append(id(2), seq, Ordered, &[7; 60]).expect("taken");
            store.commit().expect("written");
            if seq % 4 == 0 {
                store.checkpoint(id(2), seq, b"busy").expect("written");
            }
            let disk = disk.crash(teatime_store::Crash::Process, 0);
            let mut again = MemoryStore::open(disk, config.clone()).expect("it opens");
            assert_eq!(again.load(id(1)).expect("readable"), wanted, "{seq}");
            assert_eq!(again.stats().live_bytes, store.stats().live_bytes, "{seq}");
            again.go_back(id(1), 2).expect("written");
            assert_eq!(seqs_of(&again, 1), (Some(2), vec![3, 4, 5]));
        }
        let oldest =
            disk.files().iter().map(|(name, _)| name.clone()).find(|one| one.ends_with(".seg"));
        assert_ne!(oldest.as_deref(), Some("log/0000000001.seg"), "it was cleaned");
    }
}

#[test]
fn a_history_counts_into_the_bytes_of_its_session_and_is_deleted_when_its_time_is_over() {
    let (disk, mut store) = two_checkpoints();
    let before = store.infos()[0].bytes;
    assert!(before > 2_200, "{before}");
    // No client has loaded the checkpoint: no time is too long.
    store.pass_time(10 * RETAIN).expect("written");
    assert_eq!(previous(&store), Some(2));
    store.prove(id(1), 3, RETAIN).expect("another checkpoint is meant");
    store.pass_time(RETAIN).expect("written");
    assert_eq!(previous(&store), Some(2));
    store.prove(id(1), 4, RETAIN).expect("written");
    assert_eq!(store.load(id(1)).expect("readable").expect("there").previous, None);
    store.pass_time(RETAIN - 1_000).expect("written");
    store.prove(id(1), 4, RETAIN).expect("it was said before");
    drop(store);
    // Only the time counts in which a store was open. It survives the end of the process.
    let mut store = MemoryStore::open(disk.clone(), Config::default()).expect("it opens");
    store.pass_time(999).expect("written");
    assert_eq!(previous(&store), Some(2));
    store.pass_time(1).expect("written");
    assert_eq!((previous(&store), seqs(&store)), (None, (Some(4), vec![5])));
    let after = store.infos()[0].bytes;
    assert!(after < before - 1_200, "{before} bytes, and then {after}");
    assert_eq!(disk.files().iter().filter(|(name, _)| name.ends_with(".ckpt")).count(), 1);
    let refused = store.go_back(id(1), 2);
    assert!(matches!(refused, Err(Error::NoHistory)), "{refused:?}");
}

#[test]
fn a_proven_history_can_be_gone_back_to_until_then() {
    let (disk, mut store) = two_checkpoints();
    store.prove(id(1), 4, RETAIN).expect("written");
    store.go_back(id(1), 2).expect("written");
    store.go_back(id(1), 2).expect("it was done before");
    for store in [
        store,
        MemoryStore::open(disk.crash(teatime_store::Crash::Process, 0), Config::default())
            .expect("it opens"),
    ] {
        assert_eq!((previous(&store), seqs(&store)), (None, (Some(2), vec![3, 4, 5])));
    }
    assert_eq!(disk.files().iter().filter(|(name, _)| name.ends_with(".ckpt")).count(), 1);
}

#[test]
fn a_failed_write_neither_goes_back_nor_loses_a_file() {
    type Change = fn(&mut MemoryStore) -> Result<(), Error>;
    let changes: [Change; 3] = [
        |store| store.go_back(id(1), 2),
        |store| store.prove(id(1), 4, 0),
        |store| store.checkpoint_after(id(1), 5, b"five", Some(2)),
    ];
    for change in changes {
        for fault in [MemoryDisk::fail_next_write, MemoryDisk::fail_next_sync] {
            let (disk, mut store) = two_checkpoints();
            let before = content(&store).expect("readable");
            fault(&disk);
            assert!(change(&mut store).is_err());
            assert_eq!(content(&store).expect("readable"), before);
            change(&mut store).expect("the disk works again");
            let after = content(&store).expect("readable");
            drop(store);
            let store = MemoryStore::open(disk, Config::default()).expect("it opens");
            assert_eq!(content(&store).expect("readable"), after);
        }
    }
}

#[test]
fn a_damaged_history_does_not_keep_the_session_from_going_on() {
    let (disk, store) = two_checkpoints();
    drop(store);
    let files = disk.files();
    let (oldest, _) =
        files.iter().find(|(name, _)| name.ends_with(".ckpt")).expect("there are two");
    disk.rot(oldest, 8);
    let store = MemoryStore::open(disk, Config::default()).expect("it opens");
    let stored = store.load(id(1)).expect("the checkpoint is undamaged").expect("it exists");
    assert_eq!((stored.checkpoint.map(|one| one.seq), stored.previous), (Some(4), None));
}

/// A slow disk: checkpoints that wait are replaced by newer ones, and changes of the history come after those before them.
#[test]
fn changes_of_the_history_take_effect_in_the_order_in_which_they_were_handed_in() {
    let store = MemoryStore::open(MemoryDisk::default(), Config::default()).expect("a new store");
    let mut handle = Handle::threaded(store);
    let session = SessionId([1; 32]);
    handle.begin(session, 4);
    let after = |seq, to| match checkpoint(session, seq, b"state") {
        Request::Checkpoint { session, checkpoint, .. } => {
            Request::Checkpoint { session, checkpoint, previous: Some(to) }
        }
        other => other,
    };
    let back = |to| Request::GoBack { session, to };
    let requests = [after(2, 0), back(0), after(3, 0), after(4, 0), back(0), after(1, 0)];
    let tickets = requests.map(|request| handle.ask(request));
    handle.append(records(session, [record(5, b"later")])).expect("the disk works");
    for ticket in tickets {
        assert_eq!(handle.answer(ticket), Ok(Answer::Done));
    }
    assert_eq!(handle.shape(session), (Some(1), vec![2, 3, 4, 5]));
    let stored = handle.load(Key::Session(session)).expect("readable").expect("it exists");
    let previous = stored.previous.expect("it is retained");
    assert_eq!((previous.checkpoint, previous.records.len()), (None, 1));
}

/// Joins as this view, if the reflector lets it in.
fn join(world: &mut World, view: u8) -> ConnId {
    let connection = world.connect();
    let key = SecretKey::of_view(&[view; 32]);
    let join = Join {
        protocol: 1,
        program: Digest([1; 32]),
        name: Digest([2; 32]),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: None,
        ticks_per_second: 1,
        attempt: 1,
        resume: None,
        agent: "test",
    };
    world.join(join, &key, None);
    world.pass(SECOND);
    connection
}

/// The snapshot that a client was given.
fn given(world: &World, to: ConnId) -> Option<SnapshotInfo> {
    world.messages(to).find_map(|message| match message {
        ServerMessage::Welcome(welcome) => welcome.snapshot,
        _ => None,
    })
}

fn world(disk: &MemoryDisk) -> World {
    World::new(disk, ReflectorConfig::default(), Durability::Power, 2_000)
}

/// An owner sends three events, and leaves.
fn used_by_an_owner(disk: &MemoryDisk) {
    let mut world = world(disk);
    let owner = join(&mut world, 1);
    for counter in 1..=3 {
        world.say(owner, &ClientMessage::Send(Send { counter, payload: b"post" }));
    }
    world.say(owner, &ClientMessage::Leave);
}

/// A stranger who is alone hands in junk, and leaves. Does what it can if the disk fails meanwhile.
fn brick(world: &mut World) {
    let stranger = join(world, 66);
    world.say(stranger, &ClientMessage::Persist);
    let asked = world.messages(stranger).find_map(|message| match message {
        ServerMessage::VoteRequest(vote) if world.welcome(stranger).seq < vote.seq => {
            Some(vote.seq)
        }
        _ => None,
    });
    if let Some(seq) = asked {
        let room = Digest([3; 32]);
        let data = Envelope { persisted: None, roots: Vec::new(), space: room }.wrap(b"junk");
        let hash = Digest(*blake3::hash(&data).as_bytes());
        world.say(stranger, &ClientMessage::Vote(Vote { seq, hash }));
        let part = SnapshotPart { seq, offset: 0, total: data.len() as u64, data: &data };
        world.say(stranger, &ClientMessage::SnapshotPart(part));
    }
    world.say(stranger, &ClientMessage::Leave);
}

/// An owner that cannot load the junk comes back as often as it wants: in the end it has all events, each once. Returns
/// whether the junk was there.
fn assert_usable(disk: &MemoryDisk) -> bool {
    let mut world = world(disk);
    let first = join(&mut world, 2);
    let junk = given(&world, first);
    if let Some(info) = junk {
        world.say(first, &ClientMessage::Unusable(info.seq));
        assert!(world.closed.contains(&(first, CloseReason::GoingAway)));
        drop(world);
        world = self::world(disk);
    }
    let owner = join(&mut world, 3);
    assert_eq!((given(&world, owner), world.counters(owner)), (None, vec![1, 2, 3]));
    junk.is_some()
}

#[test]
fn the_reflector_may_be_killed_at_any_change_of_the_disk_while_junk_comes() {
    let disk = MemoryDisk::default();
    used_by_an_owner(&disk);
    let mut found = [false; 2];
    for cut in 0.. {
        let disk = disk.copy();
        let mut world = world(&disk);
        let before = disk.operations();
        disk.die_after(cut);
        brick(&mut world);
        let is_through = disk.operations() - before < cut;
        drop(world);
        let has_junk = assert_usable(&disk.crash(teatime_store::Crash::Process, 0));
        found[usize::from(has_junk)] = true;
        if is_through {
            assert!(has_junk && cut > 10, "{cut} changes");
            break;
        }
    }
    assert_eq!(found, [true, true]);
}

#[test]
fn the_reflector_may_be_killed_at_any_change_of_the_disk_while_it_goes_back() {
    let disk = MemoryDisk::default();
    used_by_an_owner(&disk);
    brick(&mut world(&disk));
    let mut found = [false; 2];
    for cut in 0.. {
        let disk = disk.copy();
        let mut world = world(&disk);
        let before = disk.operations();
        disk.die_after(cut);
        let owner = join(&mut world, 9);
        if let Some(info) = given(&world, owner) {
            world.say(owner, &ClientMessage::Unusable(info.seq));
        }
        let is_through = disk.operations() - before < cut;
        drop(world);
        let has_junk = assert_usable(&disk.crash(teatime_store::Crash::Process, 0));
        found[usize::from(has_junk)] = true;
        if is_through {
            assert!(!has_junk && cut > 2, "{cut} changes");
            break;
        }
    }
    assert_eq!(found, [true, true]);
}

#[test]
fn a_directory_is_rolled_back_off_line() {
    let dir = tempfile::tempdir().expect("there is room");
    let mut store =
        teatime_store::DiskStore::open_dir(dir.path(), Config::default()).expect("it opens");
    fill(&mut store);
    let refused = rollback(dir.path(), id(1));
    assert!(matches!(refused, Err(Error::Locked)), "{refused:?}");
    store.prove(id(1), 4, RETAIN).expect("written");
    let era = store.era();
    store.close().expect("the disk works");
    drop(store);
    let expected = Rollback { from: 4, to: 2, newest: 5 };
    assert_eq!(plan_rollback(dir.path(), id(1)).expect("it is retained"), expected);
    let listed = list(dir.path()).expect("readable");
    assert_eq!(listed[0].previous, Some(2), "a plan changes nothing");
    assert_eq!(check(dir.path()).expect("readable").histories, 1);
    assert_eq!(rollback(dir.path(), id(1)).expect("it is retained"), expected);
    let stored = load(dir.path(), id(1)).expect("readable").expect("it exists");
    assert_eq!((stored.checkpoint.map(|one| one.seq), stored.records.len()), (Some(2), 3));
    let again = rollback(dir.path(), id(1));
    assert!(matches!(again, Err(Error::NoHistory)), "{again:?}");
    let unknown = rollback(dir.path(), id(2));
    assert!(matches!(unknown, Err(Error::Unknown)), "{unknown:?}");
    let store =
        teatime_store::DiskStore::open_dir(dir.path(), Config::default()).expect("it opens");
    assert_ne!(store.era(), era, "clients must not go on from what is gone");
}
