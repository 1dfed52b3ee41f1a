//! What may have lost something says so, and nothing else does.

use crate::common::{content, history, id, small};
use teatime_store::{Config, Crash, DiskStore, Durability, MemoryDisk, MemoryStore, Storage};

fn config(durability: Durability) -> Config {
    small(durability, 100_000)
}

fn open(disk: &MemoryDisk, durability: Durability) -> MemoryStore {
    MemoryStore::open(disk.clone(), config(durability)).expect("it opens")
}

fn write(store: &mut MemoryStore, session: u8) {
    store.begin(&id(session), b"head").expect("begun");
    store.commit().expect("written");
}

#[test]
fn only_a_power_cut_begins_another_era_and_only_if_it_may_have_taken_something() {
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
            // What nobody was told of yet may be another number each time, but never the old one.
            assert_eq!(open(&found, after).era() == store.era(), stays, "{case}");
        }
    }
}

#[test]
fn what_is_written_after_closing_may_be_lost_again() {
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
        assert_eq!((found.era(), found.sessions().len()), (store.era(), 2), "seed {seed}");
    }
}

#[test]
fn a_damaged_era_is_another_one_and_nothing_else_is_missing() {
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

#[test]
fn on_a_real_disk_the_end_of_a_process_is_none_and_an_import_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let open = || DiskStore::open_dir(&dir, config(Durability::Process)).expect("it opens");
    let mut store = open();
    store.begin(&id(1), b"head").expect("begun");
    store.commit().expect("written");
    let era = store.era();
    drop(store);
    // Where starts of the system cannot be told from each other it may be anything.
    if cfg!(any(target_os = "linux", target_os = "macos")) {
        assert_eq!(open().era(), era);
    }
    let mut store = open();
    store.close().expect("all is durable");
    let era = store.era();
    drop(store);
    assert_eq!(open().era(), era);
    let mut stream = Vec::new();
    teatime_store::export(&dir, &id(1), &mut stream).expect("it can be read");
    let mut store = open();
    assert_eq!(store.era(), era);
    store.remove(&id(1)).expect("it is there");
    store.commit().expect("written");
    drop(store);
    teatime_store::import(&dir, &stream[..]).expect("it is right");
    assert_ne!(open().era(), era);
}
