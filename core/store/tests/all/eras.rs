//! The era changes when committed writes may be lost, and only then.

use crate::common::content::{content, history};
use crate::common::{id, small};
use teatime_store::{Config, Crash, DiskStore, Durability, MemoryDisk, MemoryStore};

fn config(durability: Durability) -> Config {
    small(durability, 100_000)
}

fn open(disk: &MemoryDisk, durability: Durability) -> MemoryStore {
    MemoryStore::open(disk.clone(), config(durability)).expect("it opens")
}

fn write(store: &mut MemoryStore, session: u8) {
    store.begin(id(session), b"head").expect("begun");
    store.commit().expect("written");
}

#[test]
fn only_a_power_cut_that_may_have_lost_something_begins_another_era() {
    use Durability::{Power, Process};
    for (before, closes, crash, stays) in [
        (Process, false, Crash::Process, true),
        (Process, false, Crash::Power, false),
        (Process, true, Crash::Power, true),
        (Power, false, Crash::Process, true),
        (Power, false, Crash::Power, true),
    ] {
        for after in [Process, Power] {
            let disk = MemoryDisk::default();
            let mut store = open(&disk, before);
            write(&mut store, 1);
            if closes {
                store.close().expect("all is durable");
            }
            let found = disk.crash(crash, 3);
            let case = format!("{before:?}, closed: {closes}, {crash:?}, then {after:?}");
            let again = open(&found, after);
            assert_eq!(again.era() == store.era(), stays, "{case}");
            drop(again);
            // An era that no client has seen may change each time, but never to the old one.
            assert_eq!(open(&found, after).era() == store.era(), stays, "{case}");
        }
    }
}

#[test]
fn what_is_written_after_closing_may_be_lost() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk, Durability::Process);
    write(&mut store, 1);
    store.close().expect("all is durable");
    write(&mut store, 2);
    let found = disk.crash(Crash::Power, 3);
    assert_ne!(open(&found, Durability::Process).era(), store.era());
}

#[test]
fn opening_makes_durable_what_a_crash_has_left() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk, Durability::Process);
    write(&mut store, 1);
    let found = disk.crash(Crash::Process, 0);
    let mut careful = open(&found, Durability::Power);
    assert_eq!(careful.era(), store.era());
    write(&mut careful, 2);
    for seed in 0..8 {
        let found = open(&found.crash(Crash::Power, seed), Durability::Power);
        assert_eq!((found.era(), found.infos().len()), (store.era(), 2), "seed {seed}");
    }
}

#[test]
fn a_damaged_era_begins_another_one_and_loses_nothing() {
    let disk = MemoryDisk::default();
    let mut store = open(&disk, Durability::Power);
    for step in history() {
        step.take(&mut store).expect("taken");
    }
    let (era, wanted) = (store.era(), content(&store).expect("readable"));
    let of_disk = |disk: &MemoryDisk| disk.files().into_iter().find(|(name, _)| name == "ERA");
    let (name, right) = of_disk(&disk).expect("there is one");
    let cut = (0..right.len()).map(|length| Some(right[..length].to_vec()));
    let flipped = (0..right.len() * 8).map(|bit| {
        let mut wrong = right.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        Some(wrong)
    });
    for wrong in cut.chain(flipped).chain([None]) {
        let copy = disk.copy();
        match wrong {
            Some(wrong) => copy.put(&name, wrong),
            None => copy.take_away(&name),
        }
        let store = open(&copy, Durability::Power);
        assert_ne!(store.era(), era);
        assert_eq!(content(&store).expect("readable"), wanted);
    }
    let copy = disk.copy();
    copy.put(&name, right);
    assert_eq!(open(&copy, Durability::Power).era(), era);
}

/// Whether the operating system identifies its runs. Where it does not, the era of a killed process is unknown.
const IDENTIFIES_ITS_RUNS: bool = cfg!(any(target_os = "linux", target_os = "macos"));

#[test]
fn on_a_real_disk_the_era_survives_the_process_and_an_import_begins_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let open = || DiskStore::open_dir(&dir, config(Durability::Process)).expect("it opens");
    let mut store = open();
    store.begin(id(1), b"head").expect("begun");
    store.commit().expect("written");
    let era = store.era();
    drop(store);
    if IDENTIFIES_ITS_RUNS {
        assert_eq!(open().era(), era);
    }
    let mut store = open();
    store.close().expect("all is durable");
    let era = store.era();
    drop(store);
    assert_eq!(open().era(), era);
    let mut stream = Vec::new();
    teatime_store::export(&dir, id(1), &mut stream).expect("it can be read");
    let mut store = open();
    assert_eq!(store.era(), era);
    store.remove(id(1)).expect("it is there");
    store.commit().expect("written");
    drop(store);
    teatime_store::import(&dir, &stream[..]).expect("it is right");
    assert_ne!(open().era(), era);
}
