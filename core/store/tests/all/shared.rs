//! Reflectors that share a store: nobody waits for a checkpoint, and nobody loses a session to another.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::common::small;
use teatime_reflector::{RecordKind, Storage as _, StorageError};
use teatime_store::{
    Crash, Disk, Durability, MemoryDisk, MemoryFile, MemoryStore, Retention, Shared, Storage,
    Store, Upkeep,
};
use teatime_wire::SessionId;

const ONE: SessionId = SessionId([1; 32]);
const TWO: SessionId = SessionId([2; 32]);

/// A disk that takes no checkpoints as long as its gate is shut.
#[derive(Clone, Default)]
struct Gated {
    disk: MemoryDisk,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Default)]
struct Gate {
    is_shut: bool,
    somebody_waits: bool,
}

impl Gated {
    fn set_shut(&self, shut: bool) {
        self.gate.0.lock().expect("nobody panics").is_shut = shut;
        self.gate.1.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let gate = self.gate.0.lock().expect("nobody panics");
        let waits = self.gate.1.wait_while(gate, |gate| !gate.somebody_waits);
        drop(waits.expect("nobody panics"));
    }
}

impl Disk for Gated {
    type File = MemoryFile;

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        if path.starts_with("checkpoints/") {
            let mut gate = self.gate.0.lock().expect("nobody panics");
            gate.somebody_waits = gate.is_shut;
            self.gate.1.notify_all();
            drop(self.gate.1.wait_while(gate, |gate| gate.is_shut).expect("nobody panics"));
        }
        self.disk.create(path)
    }

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.make_folder(folder)
    }

    fn lock(&mut self) -> io::Result<bool> {
        self.disk.lock()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        self.disk.list(folder)
    }

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        self.disk.open(path)
    }

    fn open_to_append(&self, path: &str) -> io::Result<MemoryFile> {
        self.disk.open_to_append(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn boot(&self) -> Option<String> {
        self.disk.boot()
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
}

fn open<D: Disk>(disk: &D) -> Store<D> {
    Store::open(disk.clone(), small(Durability::Process, 100_000)).expect("it opens")
}

/// A session with so many records, committed.
fn begin<D: Disk>(storage: &mut Shared<D>, session: SessionId, records: u64) {
    assert_eq!(storage.load(session), Ok(None));
    storage.begin(session, b"head");
    (1..=records).for_each(|seq| storage.append(session, seq, RecordKind::Ordered, b"record"));
    storage.commit().expect("there is room");
}

/// Up to where the checkpoint of a session stands, and the numbers of its records.
fn shape<D: Disk>(storage: &mut Shared<D>, session: SessionId) -> (Option<u64>, Vec<u64>) {
    let stored = storage.load(session).expect("readable").expect("it is there");
    let records = stored.records.iter().map(|record| record.seq).collect();
    (stored.checkpoint.map(|(seq, _)| seq), records)
}

#[test]
fn commits_do_not_wait_for_a_checkpoint_and_it_stands_for_what_was_there_when_it_came() {
    let disk = Gated::default();
    let mut storage = Shared::with_clerk(open(&disk), None).expect("there can be a thread");
    begin(&mut storage, ONE, 3);
    disk.set_shut(true);
    storage.append(ONE, 4, RecordKind::Ordered, b"with it");
    storage.checkpoint(ONE, 3, b"all so far");
    storage.commit().expect("it does not wait");
    disk.wait_until_somebody_waits();
    // Told with the number that the checkpoint has, but after it.
    storage.append(ONE, 4, RecordKind::Time, &[0; 8]);
    storage.append(ONE, 5, RecordKind::Ordered, b"later");
    storage.commit().expect("it does not wait");
    assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3, 4, 4, 5]));
    let mut crashed = Shared::new(open(&disk.disk.crash(Crash::Process, 0)));
    assert_eq!(shape(&mut crashed, ONE), (None, vec![1, 2, 3, 4, 4, 5]));
    // One that comes while another is being written; the middle one of three is never begun.
    storage.checkpoint(ONE, 4, b"needless");
    storage.commit().expect("it does not wait");
    storage.append(ONE, 6, RecordKind::Ordered, b"newest");
    storage.checkpoint(ONE, 5, b"the last");
    storage.commit().expect("it does not wait");
    disk.set_shut(false);
    storage.finish_checkpoints();
    assert_eq!(shape(&mut storage, ONE), (Some(5), vec![6]));
    let is_checkpoint = |(name, _): &(String, Vec<u8>)| name.starts_with("checkpoints/");
    let files = disk.disk.files().into_iter().filter(is_checkpoint).map(|(_, data)| data);
    assert_eq!(files.collect::<Vec<_>>(), [b"the last"], "what is not needed is deleted");
    storage.close().expect("all is durable");
    let mut again = Shared::new(open(&disk.disk.crash(Crash::Power, 1)));
    assert_eq!(shape(&mut again, ONE), (Some(5), vec![6]));
}

#[test]
fn nobody_waits_for_what_is_kept_of_a_room_and_all_or_nothing_of_it_is_there() {
    let disk = Gated::default();
    let mut storage = Shared::with_clerk(open(&disk), None).expect("there can be a thread");
    let mut other = storage.clone();
    assert_eq!(storage.load(ONE), Ok(None));
    disk.set_shut(true);
    storage.keep(ONE, b"head", 1, b"first".to_vec());
    disk.wait_until_somebody_waits();
    begin(&mut other, TWO, 3);
    let mut found = Shared::new(open(&disk.disk.crash(Crash::Process, 0)));
    assert_eq!(found.load(ONE), Ok(None));
    assert_eq!(shape(&mut found, TWO), (None, vec![1, 2, 3]));
    assert_eq!(storage.kept(), []);
    disk.set_shut(false);
    storage.finish_checkpoints();
    assert_eq!((storage.kept(), storage.kept()), (vec![(ONE, Ok(()))], vec![]));
    let there = |disk: &MemoryDisk| {
        let mut found = Shared::new(open(&disk.crash(Crash::Power, 1)));
        let stored = found.load(ONE).expect("readable").expect("it is there");
        assert_eq!((&stored.head[..], stored.records), (&b"head"[..], vec![]));
        stored.checkpoint.expect("it has one")
    };
    assert_eq!(there(&disk.disk), (1, b"first".to_vec()));
    storage.keep(ONE, b"head", 2, b"second".to_vec());
    storage.finish_checkpoints();
    assert_eq!(storage.kept(), [(ONE, Ok(()))]);
    assert_eq!(there(&disk.disk), (2, b"second".to_vec()));
    let used: u64 = disk.disk.files().iter().map(|(_, data)| data.len() as u64).sum();
    disk.disk.set_capacity(Some(used + 20));
    storage.keep(ONE, b"head", 3, vec![7; 100]);
    storage.finish_checkpoints();
    assert_eq!(storage.kept(), [(ONE, Err(StorageError::Full))]);
    disk.disk.set_capacity(None);
    assert_eq!(there(&disk.disk), (2, b"second".to_vec()));
    storage.keep(ONE, b"head", 3, b"third".to_vec());
    storage.finish_checkpoints();
    assert_eq!(storage.kept(), [(ONE, Ok(()))]);
    assert_eq!(there(&disk.disk), (3, b"third".to_vec()));
}

#[test]
fn what_came_with_a_checkpoint_and_was_refused_leaves_no_checkpoint() {
    for with_clerk in [false, true] {
        let disk = MemoryDisk::default();
        let mut storage = Shared::new(open(&disk));
        if with_clerk {
            drop(storage);
            storage = Shared::with_clerk(open(&disk), None).expect("there can be a thread");
        }
        begin(&mut storage, ONE, 3);
        let used: u64 = disk.files().iter().map(|(_, data)| data.len() as u64).sum();
        disk.set_capacity(Some(used + 20));
        storage.append(ONE, 4, RecordKind::Ordered, &[7; 100]);
        storage.checkpoint(ONE, 3, b"x");
        assert_eq!(storage.commit(), Err(StorageError::Full));
        disk.set_capacity(None);
        storage.finish_checkpoints();
        assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3]));
        // All or nothing: the first two would have been fine.
        storage.append(ONE, 4, RecordKind::Ordered, b"4");
        storage.append(TWO, 1, RecordKind::Ordered, b"nobody has begun it");
        assert!(storage.commit().is_err());
        assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3]));
        // And one that alone does not fit takes nothing with it.
        disk.set_capacity(Some(used + 300));
        storage.append(ONE, 4, RecordKind::Ordered, b"4");
        storage.checkpoint(ONE, 3, &[7; 1000]);
        assert_eq!(storage.commit(), Ok(()));
        storage.finish_checkpoints();
        assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3, 4]));
    }
}

#[test]
fn a_session_belongs_to_one_reflector_at_a_time() {
    let mut one = Shared::new(open(&MemoryDisk::default()));
    let mut two = one.clone();
    begin(&mut one, ONE, 1);
    assert!(two.load(ONE).is_err());
    one.append(ONE, 2, RecordKind::Ordered, b"waits");
    one.release(ONE);
    assert!(two.load(ONE).is_err(), "something of it waits");
    one.commit().expect("there is room");
    assert_eq!(shape(&mut two, ONE), (None, vec![1, 2]));
    assert!(one.load(ONE).is_err());
    drop(two);
    assert_eq!(shape(&mut one, ONE), (None, vec![1, 2]));
}

#[test]
fn sessions_are_removed_by_the_policy_but_never_while_somebody_uses_them() {
    let disk = MemoryDisk::default();
    let retention = Retention { max_age_unused: u64::MAX, max_bytes: 0 };
    let upkeep = Upkeep { retention, every: Duration::from_millis(1) };
    let mut storage = Shared::with_clerk(open(&disk), Some(upkeep)).expect("there can be a thread");
    begin(&mut storage, ONE, 3);
    // More than one call may remove.
    for number in 0..=255 {
        let mut session = SessionId([number; 32]);
        session.0[31] = 0x55 ^ (number & 1);
        begin(&mut storage, session, 1);
        storage.release(session);
    }
    begin(&mut storage, TWO, 3);
    let in_time = Instant::now() + Duration::from_secs(120);
    while storage.store().stats().sessions > 2 {
        assert!(Instant::now() < in_time, "sessions that nobody uses stay");
        std::thread::yield_now();
    }
    assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3]));
    storage.append(TWO, 4, RecordKind::Ordered, b"goes on");
    storage.commit().expect("it is there");
    storage.release(TWO);
    while storage.store().stats().sessions > 1 {
        assert!(Instant::now() < in_time, "a session that nobody uses stays");
        std::thread::yield_now();
    }
    assert_eq!(storage.load(TWO), Ok(None));
    assert_eq!(shape(&mut storage, ONE), (None, vec![1, 2, 3]));
}

#[test]
fn at_the_start_everything_goes_that_the_policy_does_not_keep() {
    let disk = MemoryDisk::default();
    let mut storage = Shared::new(open(&disk));
    (0..=255).for_each(|number| begin(&mut storage, SessionId([number; 32]), 1));
    drop(storage);
    let retention = Retention { max_age_unused: u64::MAX, max_bytes: 0 };
    let upkeep = Upkeep { retention, every: Duration::from_secs(3600) };
    let storage = Shared::with_clerk(open(&disk), Some(upkeep)).expect("there can be a thread");
    let in_time = Instant::now() + Duration::from_secs(120);
    while storage.store().stats().sessions > 0 {
        assert!(Instant::now() < in_time, "{} stay", storage.store().stats().sessions);
        std::thread::yield_now();
    }
}

#[test]
fn a_clock_that_goes_back_makes_nothing_old() {
    let mut store = MemoryStore::open(MemoryDisk::default(), small(Durability::Power, 1000))
        .expect("a new store");
    let policy = Retention { max_age_unused: 1000, max_bytes: u64::MAX };
    let nobody = |_: &[u8; 32]| false;
    store.begin(&ONE.0, b"").expect("begun");
    store.commit().expect("written");
    store.retain(&policy, &nobody, 1_000_000).expect("kept");
    store.begin(&TWO.0, b"").expect("begun");
    store.commit().expect("written");
    // It was begun while the clock was wrong.
    store.retain(&policy, &nobody, 5).expect("kept");
    assert_eq!(store.retain(&policy, &nobody, 1_000_500).expect("kept"), [[0; 32]; 0]);
}
