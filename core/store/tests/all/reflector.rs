//! A reflector over a store: what clients rely on when either of them fails.

use teatime_reflector::storage::{Key, Storage};
use teatime_reflector::{Config, ConnId};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, new_session};
use teatime_wire::{
    Beginning, ClientMessage, CloseReason, Digest, Envelope, Hold, Join, Resume, Room, SecretKey,
    Send, ServerMessage, SessionId, SnapshotInfo,
};

use crate::common::world::{SECOND, World};
use crate::common::{small, used};

/// The session that [`join`] joins for this number.
fn key(session: u8) -> Key {
    Key::Session(id_of(session))
}

fn room(session: u8) -> Room {
    Room::new(Digest([session; 32]), None, 1)
}

fn key_of(view: u8) -> SecretKey {
    SecretKey::of_view(&[view; 32])
}

/// A state in its envelope.
fn in_envelope(state: &[u8]) -> Vec<u8> {
    Envelope { persisted: None, roots: Vec::new(), space: room(1).id }.wrap(state)
}

fn new(disk: &MemoryDisk, config: Config) -> World {
    World::new(disk, config, Durability::Process, 100_000)
}

fn id_of(session: u8) -> SessionId {
    SessionId::of(room(session).id, 1, Digest([session; 32]))
}

fn join(world: &mut World, session: u8, view: u8, resume: Option<Resume>) -> ConnId {
    join_with(world, session, view, resume, None)
}

fn join_with(
    world: &mut World,
    session: u8,
    view: u8,
    resume: Option<Resume>,
    password: Option<&SecretKey>,
) -> ConnId {
    let connection = world.connect();
    let join = Join {
        protocol: 1,
        program: Digest([session; 32]),
        name: Digest([session; 32]),
        version: 1,
        view_key: key_of(view).public(),
        password_key: password.map(SecretKey::public),
        view_data: None,
        ticks_per_second: 10,
        attempt: connection.0,
        resume,
        agent: "test",
    };
    world.join(join, &key_of(view), password);
    connection
}

fn post(world: &mut World, from: ConnId, counter: u64) {
    world.say(from, &ClientMessage::Send(Send { counter, payload: &[7; 100] }));
}

/// A session with two views, and what both can resume. One view has made this number of posts.
fn session(disk: &MemoryDisk, posts: u64) -> (World, Resume) {
    let mut world = new(disk, Config::default());
    let (one, two) = (join(&mut world, 1, 1, None), join(&mut world, 1, 2, None));
    world.pass(SECOND);
    (1..=posts).for_each(|counter| post(&mut world, one, counter));
    assert_eq!(world.counters(two).len() as u64, posts);
    let (timeline, seq) = (world.welcome(one).timeline, 1 + posts);
    let resume = Resume { timeline, seq, chain: world.chain(one, id_of(1)) };
    (world, resume)
}

#[test]
fn after_a_crash_of_the_process_all_views_resume_seamlessly() {
    let disk = MemoryDisk::default();
    let (_, resume) = session(&disk, 8);
    let mut world = new(&disk.crash(Crash::Process, 0), Config::default());
    for view in [1, 2] {
        let back = join(&mut world, 1, view, Some(resume));
        let welcome = world.welcome(back);
        assert!(welcome.resumed && welcome.seamless, "view {view}");
        assert_eq!(welcome.timeline, resume.timeline);
    }
}

#[test]
fn after_a_power_cut_that_may_have_lost_something_no_view_resumes() {
    let mut shorter = 0;
    for seed in 0..16 {
        let disk = MemoryDisk::default();
        let (_, resume) = session(&disk, 8);
        let Ok(store) =
            MemoryStore::open(disk.crash(Crash::Power, seed), small(Durability::Process, 100_000))
        else {
            // With this durability the log may have holes, and is refused then.
            continue;
        };
        drop(store);
        let mut world = new(&disk.crash(Crash::Power, seed), Config::default());
        // The first view to come back posts what takes the place of what is lost.
        let first = join(&mut world, 1, 2, Some(resume));
        let welcome = world.welcome(first);
        assert!(!welcome.resumed && welcome.timeline != resume.timeline, "seed {seed}");
        shorter += u64::from(welcome.seq < resume.seq);
        world.pass(SECOND);
        (1..=20).for_each(|counter| post(&mut world, first, counter));
        let second = join(&mut world, 1, 1, Some(resume));
        assert!(!world.welcome(second).resumed, "seed {seed}");
        // The other one knows that eight posts were stored, and goes on after them.
        post(&mut world, second, 9);
        post(&mut world, second, 10);
        assert!(world.counters(first).ends_with(&[9, 10]), "seed {seed}");
        assert_eq!(world.closed, [], "seed {seed}");
        post(&mut world, second, 12);
        assert_eq!(world.closed, [(second, CloseReason::OutOfOrder)]);
    }
    assert!(shorter > 3, "a cut rarely lost anything: {shorter}");
}

#[test]
fn no_client_is_let_in_while_the_disk_is_full() {
    let disk = MemoryDisk::default();
    let (mut world, resume) = session(&disk, 8);
    disk.set_capacity(Some(used(&disk)));
    let members: Vec<_> = world.members.iter().map(|(member, _)| *member).collect();
    post(&mut world, members[0], 9);
    assert_eq!(
        world.closed,
        members.iter().map(|m| (*m, CloseReason::NotStored)).collect::<Vec<_>>()
    );
    let refused = join(&mut world, 1, 1, Some(resume));
    assert_eq!(world.messages(refused).count(), 0, "a welcome would make it wait");
    assert_eq!(world.closed.last(), Some(&(refused, CloseReason::NotStored)));
    disk.set_capacity(None);
    let back = join(&mut world, 1, 1, Some(resume));
    assert!(world.welcome(back).resumed);
    assert_eq!(world.welcome(back).counter, Some(8));
    post(&mut world, back, 9);
    assert_eq!(world.counters(back), [9]);
}

#[test]
fn a_client_that_comes_back_to_a_full_log_must_pause() {
    let disk = MemoryDisk::default();
    drop(session(&disk, 30));
    let config = Config { log_limit_bytes: 2_000, log_reserve_bytes: 500, ..Config::default() };
    let mut world = new(&disk.crash(Crash::Process, 0), config);
    let back = join(&mut world, 1, 1, None);
    assert!(world.messages(back).any(|one| one == ServerMessage::Hold(Hold::Pause)));
}

#[test]
fn idle_sessions_leave_memory_and_come_back_from_the_store() {
    let disk = MemoryDisk::default();
    let (mut world, resume) = session(&disk, 3);
    world.members.clone().into_iter().for_each(|(member, _)| world.disconnect(member));
    world.pass(Config::default().max_idle_time - 1);
    assert_eq!(world.reflector.stats().sessions, 1);
    assert!(world.other.load(key(1)).is_err());
    world.pass(1);
    assert_eq!(world.reflector.stats().sessions, 0);
    assert!(world.other.load(key(1)).is_ok());
    world.other.shared.release(key(1));
    assert_eq!(world.reflector.next_timeout(), None);
    let back = join(&mut world, 1, 1, Some(resume));
    assert!(world.welcome(back).resumed);
    assert_eq!(world.welcome(back).counter, Some(3));
}

#[test]
fn sessions_that_were_loaded_in_vain_count_as_idle() {
    let disk = MemoryDisk::default();
    let mut world = new(&disk, Config::default());
    for session in 0..20 {
        let one = join(&mut world, session, 1, None);
        world.say(one, &ClientMessage::Send(Send { counter: 1, payload: b"post" }));
        world.disconnect(one);
    }
    let config = Config { max_idle_sessions: 5, max_views: 0, ..Config::default() };
    let mut world = new(&disk.crash(Crash::Process, 0), config);
    for session in 0..20 {
        join(&mut world, session, 9, None);
    }
    assert!(world.closed.iter().all(|(_, reason)| *reason == CloseReason::Full));
    assert_eq!((world.closed.len(), world.reflector.stats().sessions), (20, 5));
    // A client with another password does not load them.
    let mut world = new(&disk.crash(Crash::Process, 0), Config::default());
    let password = SecretKey::of_password(&[1; 32]);
    for session in 0..20 {
        let one = join_with(&mut world, session, 9, None, Some(&password));
        assert_eq!(world.welcome(one).seq, 0);
    }
}

#[test]
fn the_last_client_that_leaves_makes_the_session_store_its_time() {
    let disk = MemoryDisk::default();
    let mut world = new(&disk, Config::default());
    let one = join(&mut world, 1, 1, None);
    post(&mut world, one, 1);
    assert!(!world.reflector.needs_flush());
    world.reflector.disconnected(world.now, one);
    assert!(world.reflector.needs_flush());
    world.obey();
    assert!(!world.reflector.is_storing());
}

/// The largest snapshot fits, with everything that is stored beside it: two thousand bytes for each of ten
/// thousand views.
#[test]
fn the_largest_snapshot_fits_into_a_checkpoint() {
    let views =
        Config::default().max_views as u64 * (teatime_wire::limits::MAX_VIEW_DATA as u64 + 64);
    let most = teatime_store::limits::MAX_CHECKPOINT as u64;
    assert!(teatime_wire::limits::MAX_SNAPSHOT + views <= most);
}

#[test]
fn an_imported_session_that_cannot_be_valid_is_refused_and_harms_no_other() {
    let snapshot = in_envelope(&[1, 2, 3, 4]);
    let cut = snapshot[1..].to_vec();
    for (seq, time, snapshot) in
        [(u64::MAX, 1, snapshot.clone()), (1, u64::MAX, snapshot), (1, 1, cut)]
    {
        let disk = MemoryDisk::default();
        let size = snapshot.len() as u64;
        let info = SnapshotInfo { seq, time, hash: Digest([3; 32]), size, chain: Digest([9; 32]) };
        let beginning = Beginning {
            room: room(1),
            password_key: None,
            ticks_per_second: 10,
            info,
            snapshot,
            views: Vec::new(),
        };
        let stored = new_session(beginning).expect("there are random numbers");
        let checkpoint = stored.checkpoint.expect("it has one");
        let config = small(Durability::Process, 100_000);
        let mut store = MemoryStore::open(disk.clone(), config).expect("it opens");
        store.begin(key(1), &stored.head).expect("there is room");
        store.checkpoint(key(1), checkpoint.seq, &checkpoint.bytes).expect("there is room");
        drop(store);
        let mut world = new(&disk, Config::default());
        join(&mut world, 1, 1, None);
        let closed = world.closed.pop().map(|(_, reason)| reason);
        assert_eq!(closed, Some(CloseReason::NotStored), "{seq} {time}");
        let other = join(&mut world, 2, 2, None);
        assert_eq!(world.welcome(other).seq, 0);
    }
}

#[test]
fn a_session_that_begins_with_a_snapshot_can_be_joined_and_its_old_views_exit() {
    let disk = MemoryDisk::default();
    let open = || MemoryStore::open(disk.clone(), small(Durability::Process, 100_000));
    let gone = key_of(9).public().view_id();
    let state: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    let snapshot = in_envelope(&state);
    let size = snapshot.len() as u64;
    let info = SnapshotInfo {
        seq: 40,
        time: 7 * SECOND,
        hash: Digest([3; 32]),
        size,
        chain: Digest([9; 32]),
    };
    let views = vec![(gone, Some(vec![1, 2]))];
    let password = SecretKey::of_password(&[4; 32]);
    let (password_key, ticks_per_second) = (Some(password.public()), 10);
    let members = Room::new(room(1).name, password_key, 1);
    let beginning = Beginning {
        room: members,
        password_key,
        ticks_per_second,
        info,
        snapshot: snapshot.clone(),
        views: views.clone(),
    };
    let stored = new_session(beginning).expect("there are random numbers");
    let mut store = open().expect("it opens");
    let key = Key::Session(SessionId::of(members.id, 1, Digest([1; 32])));
    store.begin(key, &stored.head).expect("there is room");
    let checkpoint = stored.checkpoint.expect("it has one");
    store.checkpoint(key, checkpoint.seq, &checkpoint.bytes).expect("there is room");
    drop(store);

    let mut world = new(&disk, Config::default());
    let other = join(&mut world, 1, 2, None);
    assert_eq!(world.welcome(other).seq, 0, "without the password there is another session");
    let one = join_with(&mut world, 1, 1, None, Some(&password));
    let welcome = world.welcome(one);
    assert_eq!((welcome.seq, welcome.time), (40, 7 * SECOND));
    assert_eq!((welcome.snapshot, welcome.tick_ms), (Some(info), 100));
    let parts = world.messages(one).filter_map(|message| match message {
        ServerMessage::SnapshotPart(part) => Some(part),
        _ => None,
    });
    assert!(parts.collect::<Vec<_>>().concat() == snapshot);
    post(&mut world, one, 1);
    world.pass(Config::default().rejoin_limit + SECOND);
    let messages: Vec<_> = world.messages(one).collect();
    let exits = messages.iter().filter_map(|message| match message {
        ServerMessage::Views(views) => Some(views.exited.iter()),
        _ => None,
    });
    let exits = exits.flatten().map(|view| (view.view_id, view.view_data.map(<[u8]>::to_vec)));
    assert_eq!(exits.collect::<Vec<_>>(), views);
    let ordered = |message: &&ServerMessage<'_>| {
        let views = matches!(message, ServerMessage::Views(_));
        views || matches!(message, ServerMessage::Event(_) | ServerMessage::VoteRequest(_))
    };
    let log: Vec<_> = messages.iter().filter(ordered).map(ServerMessage::encode).collect();

    // The store has just that.
    drop(world);
    let stored = open().expect("it opens").load(key).expect("it is sound");
    let archive = stored.expect("it is there").archive().expect("a reflector has stored it");
    assert_eq!(archive.password_key, password_key);
    assert!(archive.snapshot == Some((info, snapshot)) && archive.messages == log);
    assert!(archive.time >= 18 * SECOND, "{}", archive.time);
}
