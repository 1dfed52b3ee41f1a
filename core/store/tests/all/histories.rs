//! After any history of changes, failures and crashes, a store holds what was committed.

use crate::common::content::{Content, Step, brief, content, history, history_that_goes_back};
use crate::common::{id, small};
use proptest::prelude::*;
use teatime_reflector::storage::RecordKind::{Ordered, Time};
use teatime_reflector::storage::RoomId;
use teatime_store::{Config, Crash, Durability, Key, MemoryDisk, MemoryStore};
use teatime_wire::Digest;

fn open(disk: &MemoryDisk, config: &Config) -> MemoryStore {
    MemoryStore::open(disk.clone(), config.clone()).expect("what a crash leaves can be opened")
}

/// Takes steps until one fails. Returns what is committed, what is committed if the failing commit
/// counts after all, and how many steps were taken.
fn run(store: &mut MemoryStore, steps: &[Step], committed: Content) -> (Content, Content, usize) {
    let (mut committed, mut gathered) = (committed.clone(), committed);
    for (at, step) in steps.iter().enumerate() {
        let taken = step.take(store);
        step.apply(&mut gathered);
        if taken.is_err() {
            return (committed, gathered, at);
        }
        if step.commits() {
            committed = gathered.clone();
        }
    }
    (committed, gathered, steps.len())
}

/// A crash or a power cut at any change of the disk leaves every commit before it, and the commit it
/// hit completely or not at all; and the store goes on.
#[test]
fn a_crash_at_any_change_of_the_disk_leaves_what_was_committed() {
    for durability in [Durability::Process, Durability::Power] {
        for segment_bytes in [200, 700, 100_000] {
            let config = small(durability, segment_bytes);
            for steps in [history(), history_that_goes_back()] {
                let cuts = sweep(&config, durability, &steps);
                assert!(cuts > 40, "only {cuts} changes of the disk");
            }
        }
    }
}

fn sweep(config: &Config, durability: Durability, steps: &[Step]) -> u64 {
    for cut in 0.. {
        let disk = MemoryDisk::default();
        disk.die_after(cut);
        let (mut committed, mut gathered, mut next) = (Content::new(), Content::new(), 0);
        if let Ok(mut store) = MemoryStore::open(disk.clone(), config.clone()) {
            (committed, gathered, next) = run(&mut store, steps, Content::new());
        }
        let seeds = if durability == Durability::Power { 0..4 } else { 0..0 };
        let power = seeds.map(|seed| disk.crash(Crash::Power, seed));
        for found in power.chain([disk.crash(Crash::Process, 0)]) {
            let store = open(&found, config);
            let recovered = content(&store).expect("all of it is readable");
            let right = recovered == committed || recovered == gathered;
            assert!(
                right,
                "cut {cut}: [{}] is neither [{}] nor [{}]",
                brief(&recovered),
                brief(&committed),
                brief(&gathered)
            );
            drop(store);
            // What it showed after opening survives any later crash.
            for (crash, seed) in [(Crash::Process, 0), (Crash::Power, 1), (Crash::Power, 2)] {
                let again = open(&found.crash(crash, seed), config);
                assert_eq!(content(&again).expect("readable"), recovered, "cut {cut}");
            }
            // It goes on from there.
            let mut store = open(&found, config);
            let more =
                [Step::Begin(id(9), b"nine".to_vec()), Step::Append(id(9), 1, Ordered, vec![1])];
            let more = [more[0].clone(), more[1].clone(), Step::Commit];
            let (wanted, _, taken) = run(&mut store, &more, recovered);
            assert_eq!(taken, 3, "cut {cut}");
            assert_eq!(content(&store).expect("readable"), wanted, "cut {cut}");
        }
        if next == steps.len() && committed == gathered {
            return cut;
        }
    }
    0
}

/// With any durability, a checkpoint that has returned survives a power cut, and so does everything
/// before it.
#[test]
fn checkpoints_survive_a_power_cut() {
    let config = small(Durability::Process, 700);
    let disk = MemoryDisk::default();
    let mut store = open(&disk, &config);
    let (mut wanted, mut cuts) = (Content::new(), 0);
    for step in history() {
        step.take(&mut store).expect("nothing fails");
        step.apply(&mut wanted);
        if matches!(step, Step::Checkpoint(..)) {
            for seed in 0..8 {
                let found = open(&disk.crash(Crash::Power, seed), &config);
                assert_eq!(content(&found).expect("readable"), wanted);
                cuts += 1;
            }
        }
    }
    assert_eq!(cuts, 16);
}

/// The checkpoint of a removed session is deleted only when the removal is durable.
#[test]
fn a_removal_is_durable_before_anything_is_deleted() {
    let config = small(Durability::Process, 700);
    for seed in 0..16 {
        let disk = MemoryDisk::default();
        let mut store = open(&disk, &config);
        let begin = Step::Begin(id(1), b"head".to_vec());
        let checkpoint = Step::Checkpoint(id(1), 1, b"all".to_vec());
        for step in [begin, checkpoint, Step::Remove(id(1)), Step::Commit] {
            step.take(&mut store).expect("nothing fails");
        }
        let found = open(&disk.crash(Crash::Power, seed), &config);
        assert_eq!(content(&found).expect("readable"), Content::new());
    }
}

/// What happens between two checks.
#[derive(Debug, Clone)]
enum Event {
    Begin(u8, usize),
    Persist(usize),
    Append(u8, u64, usize),
    Checkpoint(u8, u64, usize),
    Remove(u8),
    Commit,
    FailWrite,
    TearWrite(usize),
    FailSync,
    Full(u64),
    DieAfter(u64),
    Crash(u64),
    PowerCut(u64),
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let session = 0..6u8;
    prop_oneof![
        6 => (session.clone(), 0..50usize).prop_map(|(n, bytes)| Event::Begin(n, bytes)),
        4 => (0..300usize).prop_map(Event::Persist),
        30 => (session.clone(), 0..3u64, 0..200usize).prop_map(|(n, s, b)| Event::Append(n, s, b)),
        5 => (session.clone(), 0..9u64, 0..400usize).prop_map(|(n, s, b)| Event::Checkpoint(n, s, b)),
        2 => session.prop_map(Event::Remove),
        15 => Just(Event::Commit),
        1 => Just(Event::FailWrite),
        1 => (0..300usize).prop_map(Event::TearWrite),
        1 => Just(Event::FailSync),
        1 => (0..600u64).prop_map(Event::Full),
        1 => (0..9u64).prop_map(Event::DieAfter),
        1 => any::<u64>().prop_map(Event::Crash),
        1 => any::<u64>().prop_map(Event::PowerCut),
        1 => Just(Event::Reopen),
    ]
}

struct World {
    config: Config,
    disk: MemoryDisk,
    store: Option<MemoryStore>,
    committed: Content,
    gathered: Content,
    /// What is committed if a commit that failed when the process ended counts after all.
    perhaps: Option<Content>,
}

impl World {
    fn newest(&self, n: u8) -> Option<u64> {
        let session = self.gathered.get(&id(n))?;
        let checkpoint = session.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
        Some(session.records.iter().map(|record| record.seq).fold(checkpoint, u64::max))
    }

    fn step(&mut self, event: &Event) -> Option<Step> {
        Some(match *event {
            Event::Begin(n, bytes) if self.newest(n).is_none() => {
                Step::Begin(id(n), vec![n; bytes])
            }
            Event::Persist(bytes) => {
                let before = self.gathered.get(&room()).and_then(|item| item.checkpoint.as_ref());
                let seq = before.map_or(0, |before| before.seq) + 1;
                Step::Checkpoint(room(), seq, vec![seq as u8; bytes])
            }
            Event::Append(n, more, bytes) => {
                let seq = self.newest(n)? + more;
                let kind = if more == 1 { Ordered } else { Time };
                Step::Append(id(n), seq, kind, vec![seq as u8; bytes])
            }
            Event::Checkpoint(n, back, bytes) => {
                let seq = self.newest(n)?.saturating_sub(back);
                let before = self.gathered[&id(n)].checkpoint.as_ref();
                let seq = before.map_or(seq, |before| before.seq.max(seq));
                Step::Checkpoint(id(n), seq, vec![back as u8; bytes])
            }
            Event::Remove(n) if self.newest(n).is_some() => Step::Remove(id(n)),
            Event::Commit => Step::Commit,
            _ => return None,
        })
    }

    fn take(&mut self, step: &Step) {
        let store = self.store.as_mut().expect("it is open");
        let taken = step.take(store);
        step.apply(&mut self.gathered);
        match taken {
            Ok(()) if step.commits() => self.committed = self.gathered.clone(),
            Ok(()) => {}
            Err(_) => {
                self.perhaps = Some(std::mem::replace(&mut self.gathered, self.committed.clone()));
                self.disk.set_capacity(None);
                // Either the store has mended itself by now, or the process has ended.
                let store = self.store.as_mut().expect("it is open");
                match store.commit() {
                    Ok(()) => self.perhaps = None,
                    Err(_) => self.reopen(&self.disk.crash(Crash::Process, 0)),
                }
            }
        }
    }

    fn reopen(&mut self, disk: &MemoryDisk) {
        self.store = None;
        self.disk = disk.clone();
        let store = open(&self.disk, &self.config);
        let found = content(&store).expect("all of it is readable");
        let perhaps = self.perhaps.take();
        assert!(
            found == self.committed || Some(&found) == perhaps.as_ref(),
            "[{}] is neither [{}] nor {:?}",
            brief(&found),
            brief(&self.committed),
            perhaps.as_ref().map(brief)
        );
        (self.committed, self.gathered) = (found.clone(), found);
        self.store = Some(store);
    }

    fn happen(&mut self, event: &Event) {
        if let Some(step) = self.step(event) {
            return self.take(&step);
        }
        match *event {
            Event::FailWrite => self.disk.fail_next_write(),
            Event::TearWrite(bytes) => self.disk.tear_next_write(bytes),
            Event::FailSync => self.disk.fail_next_sync(),
            Event::Full(room) => {
                let used = self.disk.files().iter().map(|(_, data)| data.len() as u64).sum::<u64>();
                self.disk.set_capacity(Some(used + room));
            }
            Event::DieAfter(operations) => self.disk.die_after(operations),
            Event::Crash(seed) => self.crash(Crash::Process, seed),
            Event::PowerCut(seed) if self.config.durability == Durability::Power => {
                self.crash(Crash::Power, seed);
            }
            Event::Reopen => {
                let disk = self.disk.copy();
                self.reopen(&disk);
            }
            _ => {}
        }
    }

    /// What has gathered is lost.
    fn crash(&mut self, crash: Crash, seed: u64) {
        let disk = self.disk.crash(crash, seed);
        disk.set_capacity(None);
        self.reopen(&disk);
    }
}

fn room() -> Key {
    Key::Room(RoomId { name: Digest([1; 32]), id: Digest([2; 32]) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Random histories with failures and crashes.
    #[test]
    fn any_history_leaves_what_was_committed(
        events in prop::collection::vec(event(), 1..200),
        power in any::<bool>(),
        segment_bytes in prop_oneof![Just(150u64), Just(1000), Just(20_000)],
        garbage_percent in prop_oneof![Just(10u8), Just(50), Just(90)],
    ) {
        let durability = if power { Durability::Power } else { Durability::Process };
        let config = Config { garbage_percent, ..small(durability, segment_bytes) };
        let disk = MemoryDisk::default();
        let mut world = World {
            store: Some(open(&disk, &config)),
            config,
            disk,
            committed: Content::new(),
            gathered: Content::new(),
            perhaps: None,
        };
        for event in &events {
            world.happen(event);
        }
        world.disk.set_capacity(None);
        let disk = world.disk.copy();
        world.reopen(&disk);
    }
}
