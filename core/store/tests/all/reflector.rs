//! A reflector over a store: what clients rely on when either of them fails.

use crate::common::small;
use teatime_reflector::{Config, ConnId, Output, Reflector, Storage};
use teatime_store::{Crash, Durability, MemoryDisk, MemoryStore, Shared, Storage as _, Stored};
use teatime_wire::{
    Beginning, ClientMessage, CloseReason, Digest, Hold, Join, Resume, Room, Send, ServerMessage,
    SessionId, SnapshotInfo, ViewSecret, Welcome,
};

const SECOND: u64 = 1_000_000;

fn room(session: u8) -> Room {
    Room { name: Digest([session; 32]), id: Digest([session; 32]), version: 1 }
}

struct World {
    reflector: Reflector,
    /// Another one that shares the store.
    other: Shared<MemoryDisk>,
    now: u64,
    next: u64,
    got: Vec<(ConnId, Vec<u8>)>,
    closed: Vec<(ConnId, CloseReason)>,
    members: Vec<ConnId>,
}

impl World {
    fn new(disk: &MemoryDisk, config: Config) -> Self {
        let store = MemoryStore::open(disk.clone(), small(Durability::Process, 100_000));
        let other = Shared::new(store.expect("it opens"));
        let reflector = Reflector::with_storage(config, [7; 32], Box::new(other.clone()));
        let (got, closed, members) = (Vec::new(), Vec::new(), Vec::new());
        Self { reflector, other, now: 0, next: 0, got, closed, members }
    }

    fn join(&mut self, session: u8, view: u8, resume: Option<Resume>) -> ConnId {
        self.join_with(session, view, resume, None)
    }

    fn join_with(
        &mut self,
        session: u8,
        view: u8,
        resume: Option<Resume>,
        password_proof: Option<Digest>,
    ) -> ConnId {
        let connection = ConnId(self.next);
        self.next += 1;
        self.reflector.connected(self.now, connection);
        let join = Join {
            protocol: 1,
            session: SessionId([session; 32]),
            room: room(session),
            secret: ViewSecret([view; 32]),
            password_proof,
            view_data: None,
            ticks_per_second: 10,
            attempt: self.next,
            resume,
            agent: "test",
        };
        self.say(connection, &ClientMessage::Join(join));
        connection
    }

    fn post(&mut self, from: ConnId, counter: u64) {
        self.say(from, &ClientMessage::Send(Send { counter, payload: &[7; 100] }));
    }

    fn say(&mut self, from: ConnId, message: &ClientMessage<'_>) {
        self.reflector.received(self.now, from, &message.encode());
        self.obey();
    }

    fn pass(&mut self, span: u64) {
        let end = self.now + span;
        while let Some(at) = self.reflector.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.reflector.handle_timeout(self.now);
            self.obey();
        }
        self.now = end;
    }

    fn cut(&mut self, connection: ConnId) {
        self.members.retain(|member| *member != connection);
        self.reflector.disconnected(self.now, connection);
        self.obey();
    }

    /// Commits before anything is sent, as every driver must.
    fn obey(&mut self) {
        self.reflector.commit();
        while let Some(output) = self.reflector.poll_output() {
            match output {
                Output::Send { connection, frame } => self.got.push((connection, frame.to_vec())),
                Output::Broadcast { frame, .. } => {
                    let all = self.members.iter().map(|member| (*member, frame.to_vec()));
                    self.got.extend(all);
                }
                Output::Enter { connection, .. } => self.members.push(connection),
                Output::Retract { .. } | Output::References { .. } => {}
                Output::Close { connection, reason, .. } => {
                    self.members.retain(|member| *member != connection);
                    self.closed.push((connection, reason));
                }
            }
        }
    }

    fn messages(&self, of: ConnId) -> Vec<ServerMessage<'_>> {
        let frames = self.got.iter().filter(|(connection, _)| *connection == of);
        frames.map(|(_, frame)| ServerMessage::decode(frame).expect("it is a message")).collect()
    }

    fn welcome(&self, of: ConnId) -> Welcome {
        let welcome = self.messages(of).into_iter().find_map(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        welcome.expect("it was let in")
    }

    fn counters(&self, of: ConnId) -> Vec<u64> {
        let counter = |message| match message {
            ServerMessage::Event(event) => Some(event.counter),
            _ => None,
        };
        self.messages(of).into_iter().filter_map(counter).collect()
    }
}

/// A session with two views, one of which has posted so often; who they are, and what they may resume.
fn session(disk: &MemoryDisk, posts: u64) -> (World, Resume) {
    let mut world = World::new(disk, Config::default());
    let (one, two) = (world.join(1, 1, None), world.join(1, 2, None));
    world.pass(SECOND);
    (1..=posts).for_each(|counter| world.post(one, counter));
    assert_eq!(world.counters(two).len() as u64, posts);
    let resume = Resume { timeline: world.welcome(one).timeline, seq: 1 + posts };
    (world, resume)
}

#[test]
fn after_a_crash_of_the_process_everybody_resumes_seamlessly() {
    let disk = MemoryDisk::default();
    let (_, resume) = session(&disk, 8);
    let mut world = World::new(&disk.crash(Crash::Process, 0), Config::default());
    for view in [1, 2] {
        let back = world.join(1, view, Some(resume));
        let welcome = world.welcome(back);
        assert!(welcome.resumed && welcome.seamless, "view {view}");
        assert_eq!(welcome.timeline, resume.timeline);
    }
}

#[test]
fn after_a_power_cut_that_may_have_taken_something_nobody_goes_on_with_what_he_has() {
    let mut shorter = 0;
    for seed in 0..16 {
        let disk = MemoryDisk::default();
        let (_, resume) = session(&disk, 8);
        let Ok(store) =
            MemoryStore::open(disk.crash(Crash::Power, seed), small(Durability::Process, 100_000))
        else {
            // With this durability holes are possible, and refused.
            continue;
        };
        drop(store);
        let mut world = World::new(&disk.crash(Crash::Power, seed), Config::default());
        // The one who is back first orders what takes the place of what is lost.
        let first = world.join(1, 2, Some(resume));
        let welcome = world.welcome(first);
        assert!(!welcome.resumed && welcome.timeline != resume.timeline, "seed {seed}");
        shorter += u64::from(welcome.seq < resume.seq);
        world.pass(SECOND);
        (1..=20).for_each(|counter| world.post(first, counter));
        let second = world.join(1, 1, Some(resume));
        assert!(!world.welcome(second).resumed, "seed {seed}");
        // He knows eight posts to be stored, and goes on behind them.
        world.post(second, 9);
        world.post(second, 10);
        assert!(world.counters(first).ends_with(&[9, 10]), "seed {seed}");
        assert_eq!(world.closed, [], "seed {seed}");
        world.post(second, 12);
        assert_eq!(world.closed, [(second, CloseReason::OutOfOrder)]);
    }
    assert!(shorter > 3, "hardly ever was anything lost: {shorter}");
}

#[test]
fn nobody_is_let_in_as_long_as_the_disk_is_full() {
    let disk = MemoryDisk::default();
    let (mut world, resume) = session(&disk, 8);
    let used = |disk: &MemoryDisk| disk.files().iter().map(|(_, data)| data.len() as u64).sum();
    disk.set_capacity(Some(used(&disk)));
    let members = world.members.clone();
    world.post(members[0], 9);
    assert_eq!(
        world.closed,
        members.iter().map(|m| (*m, CloseReason::NotStored)).collect::<Vec<_>>()
    );
    let refused = world.join(1, 1, Some(resume));
    assert_eq!(world.messages(refused), [], "not even a welcome, which would end its patience");
    assert_eq!(world.closed.last(), Some(&(refused, CloseReason::NotStored)));
    disk.set_capacity(None);
    let back = world.join(1, 1, Some(resume));
    assert!(world.welcome(back).resumed);
    assert_eq!(world.welcome(back).counter, 8);
    world.post(back, 9);
    assert_eq!(world.counters(back), [9]);
}

#[test]
fn who_comes_back_to_a_full_log_is_told_to_pause() {
    let disk = MemoryDisk::default();
    drop(session(&disk, 30));
    let config = Config { log_limit_bytes: 2_000, log_reserve_bytes: 500, ..Config::default() };
    let mut world = World::new(&disk.crash(Crash::Process, 0), config);
    let back = world.join(1, 1, None);
    assert!(world.messages(back).contains(&ServerMessage::Hold(Hold::Pause)));
}

#[test]
fn idle_sessions_leave_memory_and_come_back_from_the_store() {
    let disk = MemoryDisk::default();
    let (mut world, resume) = session(&disk, 3);
    world.members.clone().into_iter().for_each(|member| world.cut(member));
    world.pass(Config::default().max_idle_time - 1);
    assert_eq!(world.reflector.stats().sessions, 1);
    assert!(world.other.load(SessionId([1; 32])).is_err());
    world.pass(1);
    assert_eq!(world.reflector.stats().sessions, 0);
    assert!(world.other.load(SessionId([1; 32])).is_ok());
    world.other.release(SessionId([1; 32]));
    assert_eq!(world.reflector.next_timeout(), None);
    let back = world.join(1, 1, Some(resume));
    assert!(world.welcome(back).resumed);
    assert_eq!(world.welcome(back).counter, 3);
}

#[test]
fn sessions_that_were_loaded_for_nobody_stay_within_the_limit_of_idle_ones() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk, Config::default());
    for session in 0..20 {
        let one = world.join(session, 1, None);
        // Otherwise it would make way for whoever comes with another password.
        world.say(one, &ClientMessage::Send(Send { counter: 1, payload: b"post" }));
        world.cut(one);
    }
    let config = Config { max_idle_sessions: 5, ..Config::default() };
    let mut world = World::new(&disk.crash(Crash::Process, 0), config);
    for session in 0..20 {
        world.join_with(session, 9, None, Some(Digest([1; 32])));
    }
    assert!(world.closed.iter().all(|(_, reason)| *reason == CloseReason::WrongPassword));
    assert_eq!((world.closed.len(), world.reflector.stats().sessions), (20, 5));
}

#[test]
fn the_last_one_to_go_leaves_something_to_commit() {
    let disk = MemoryDisk::default();
    let mut world = World::new(&disk, Config::default());
    let one = world.join(1, 1, None);
    assert!(!world.reflector.has_uncommitted());
    world.reflector.disconnected(world.now, one);
    // What holds blobs is told, and nobody is there to be told anything else.
    let told: Vec<_> = std::iter::from_fn(|| world.reflector.poll_output()).collect();
    assert!(matches!(told[..], [Output::References { .. }]), "{told:?}");
    assert!(world.reflector.has_uncommitted());
    assert!(world.reflector.commit() && !world.reflector.has_uncommitted());
}

/// A snapshot as large as any may be fits, with all that is stored besides: two thousand bytes for each of
/// ten thousand views.
#[test]
fn the_largest_snapshot_fits_into_a_checkpoint() {
    let views =
        Config::default().max_views as u64 * (teatime_wire::limits::MAX_VIEW_DATA as u64 + 64);
    let most = teatime_store::limits::MAX_CHECKPOINT as u64;
    assert!(teatime_wire::limits::MAX_SNAPSHOT + views <= most);
}

#[test]
fn a_session_at_a_time_or_a_number_that_none_reaches_is_refused_and_harms_no_other() {
    for (seq, time) in [(u64::MAX, 1), (1, u64::MAX)] {
        let disk = MemoryDisk::default();
        let info = SnapshotInfo { seq, time, hash: Digest([3; 32]), size: 4 };
        let beginning = Beginning {
            room: room(1),
            password_proof: None,
            ticks_per_second: 10,
            info,
            snapshot: vec![1, 2, 3, 4],
            views: Vec::new(),
        };
        let stored = Stored::begin(beginning).expect("it can be made");
        let checkpoint = stored.checkpoint.expect("it has one");
        let config = small(Durability::Process, 100_000);
        let mut store = MemoryStore::open(disk.clone(), config).expect("it opens");
        store.begin(&[1; 32], &stored.head).expect("there is room");
        store.checkpoint(&[1; 32], checkpoint.seq, &checkpoint.bytes).expect("there is room");
        drop(store);
        let mut world = World::new(&disk, Config::default());
        world.join(1, 1, None);
        let closed = world.closed.pop().map(|(_, reason)| reason);
        assert_eq!(closed, Some(CloseReason::NotStored), "{seq} {time}");
        let other = world.join(2, 2, None);
        assert_eq!(world.welcome(other).seq, 0);
    }
}

#[test]
fn a_session_that_begins_with_a_snapshot_is_joined_as_ever_and_who_was_in_it_goes() {
    let disk = MemoryDisk::default();
    let open = || MemoryStore::open(disk.clone(), small(Durability::Process, 100_000));
    let gone = ViewSecret([9; 32]).view_id();
    let snapshot: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    let info = SnapshotInfo { seq: 40, time: 7 * SECOND, hash: Digest([3; 32]), size: 200_000 };
    let views = vec![(gone, Some(vec![1, 2]))];
    let (password_proof, ticks_per_second) = (Some(Digest([4; 32])), 10);
    let kept = snapshot.clone();
    let beginning = Beginning {
        room: room(1),
        password_proof,
        ticks_per_second,
        info,
        snapshot: kept,
        views: views.clone(),
    };
    let stored = Stored::begin(beginning).expect("it can be made");
    let mut store = open().expect("it opens");
    store.begin(&[1; 32], &stored.head).expect("there is room");
    let checkpoint = stored.checkpoint.expect("it has one");
    store.checkpoint(&[1; 32], checkpoint.seq, &checkpoint.bytes).expect("there is room");
    drop(store);

    let mut world = World::new(&disk, Config::default());
    world.join(1, 2, None);
    assert_eq!(world.closed.pop().map(|(_, reason)| reason), Some(CloseReason::WrongPassword));
    let one = world.join_with(1, 1, None, password_proof);
    let welcome = world.welcome(one);
    assert_eq!((welcome.seq, welcome.time), (40, 7 * SECOND));
    assert_eq!((welcome.snapshot, welcome.tick_ms), (Some(info), 100));
    let parts = world.messages(one).into_iter().filter_map(|message| match message {
        ServerMessage::SnapshotPart(part) => Some(part),
        _ => None,
    });
    assert!(parts.collect::<Vec<_>>().concat() == snapshot);
    world.post(one, 1);
    world.pass(Config::default().rejoin_limit + SECOND);
    let messages = world.messages(one);
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

    // And what is stored then is just that.
    drop(world);
    let stored = open().expect("it opens").load(&[1; 32]).expect("it is sound");
    let archive = stored.expect("it is there").archive().expect("a reflector has stored it");
    assert_eq!(archive.password_proof, password_proof);
    assert!(archive.snapshot == Some((info, snapshot)) && archive.messages == log);
    assert!(archive.time >= 18 * SECOND, "{}", archive.time);
}
