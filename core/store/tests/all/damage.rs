//! A damaged store is recovered to what was committed, or refused with file and offset.

use std::path::Path;

use crate::common::content::{Content, Step, content, history};
use crate::common::{id, small};
use teatime_reflector::storage::RecordKind::Ordered;
use teatime_store::{Config, Durability, Error, MemoryDisk, MemoryStore};

/// The disk after a history, and the content after each commit.
fn written(segment_bytes: u64) -> (MemoryDisk, Vec<Content>, Config) {
    let config = small(Durability::Power, segment_bytes);
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), config.clone()).expect("a new store");
    let mut states = vec![Content::new()];
    let mut gathered = Content::new();
    for step in history() {
        step.take(&mut store).expect("nothing fails");
        step.apply(&mut gathered);
        if step.commits() {
            states.push(gathered.clone());
        }
    }
    assert!(store.stats().segments >= 3 || segment_bytes > 10_000, "{:?}", store.stats());
    drop(store);
    (disk.copy(), states, config)
}

/// What opening and reading everything gives.
fn read(disk: &MemoryDisk, config: &Config) -> Result<Content, Error> {
    content(&MemoryStore::open(disk.copy(), config.clone())?)
}

fn damaged(disk: &MemoryDisk, name: &str, data: Vec<u8>) -> MemoryDisk {
    let copy = disk.copy();
    copy.put(name, data);
    copy
}

/// Checks that the store was refused because of this file, or is as it was after some commit. Returns
/// after which.
fn judge(
    found: Result<Content, Error>,
    states: &[Content],
    name: &str,
    what: &str,
) -> Option<usize> {
    match found {
        Ok(content) => {
            let state = states.iter().rposition(|state| *state == content);
            assert!(state.is_some(), "{name}, {what}: {content:?} was never committed");
            state
        }
        Err(Error::Corrupt { file, offset, .. }) => {
            let known = file == Path::new(name) || file.starts_with("checkpoints");
            let missing = name.starts_with("log") && file.starts_with("log");
            assert!(known || missing, "{name}, {what}: {} is blamed at {offset}", file.display());
            None
        }
        Err(other) => panic!("{name}, {what}: {other}"),
    }
}

fn newest(disk: &MemoryDisk) -> String {
    let files = disk.files().into_iter().map(|(name, _)| name);
    files.filter(|name| name.starts_with("log/")).max().expect("there is a log")
}

/// All files except `ERA`: without that one a new era begins, and nothing else happens.
fn content_files(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().filter(|(name, _)| name != "ERA").collect()
}

#[test]
fn every_truncation_leaves_what_was_committed_or_is_refused() {
    for segment_bytes in [300, 100_000] {
        let (disk, states, config) = written(segment_bytes);
        let newest = newest(&disk);
        for (name, data) in content_files(&disk) {
            for length in 0..data.len() {
                let short = damaged(&disk, &name, data[..length].to_vec());
                let state =
                    judge(read(&short, &config), &states, &name, &format!("{length} bytes"));
                assert!(state.is_none() || name == newest, "{name} of {length} bytes was accepted");
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_or_taken_for_a_torn_commit() {
    for segment_bytes in [300, 100_000] {
        let (disk, states, config) = written(segment_bytes);
        let newest = newest(&disk);
        let mut taken_for_torn = 0;
        for (name, data) in content_files(&disk) {
            for bit in 0..data.len() * 8 {
                let mut wrong = data.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                let found = read(&damaged(&disk, &name, wrong), &config);
                let state = judge(found, &states, &name, &format!("bit {bit}"));
                if let Some(state) = state {
                    assert_eq!(name, newest, "a wrong bit {bit} of {name} was accepted");
                    assert_eq!(state, states.len() - 2, "more than the last commit is gone");
                    taken_for_torn += 1;
                }
            }
        }
        // The last commit has a header of 20 bytes and two records of 38 + 20 bytes: it looks torn.
        assert_eq!(taken_for_torn, 8 * (20 + 2 * (38 + 20)));
    }
}

#[test]
fn garbage_behind_the_last_commit_is_cut_off() {
    let (disk, states, config) = written(100_000);
    let name = newest(&disk);
    let data = disk.files().into_iter().find(|file| file.0 == name).expect("it is there").1;
    for tail in [vec![0; 5000], vec![0xff; 5000], b"TBat".repeat(1000), data[68..].to_vec()] {
        let disk = damaged(&disk, &name, [data.clone(), tail].concat());
        assert_eq!(read(&disk, &config).expect("it is cut off"), states[states.len() - 1]);
        let store = MemoryStore::open(disk.clone(), config.clone()).expect("it is cut off");
        drop(store);
        let now = disk.files().into_iter().find(|file| file.0 == name).expect("it is there").1;
        assert_eq!(now, data);
    }
}

#[test]
fn every_missing_file_is_refused() {
    let (disk, states, config) = written(300);
    let newest = newest(&disk);
    for (name, _) in content_files(&disk) {
        let copy = disk.copy();
        copy.take_away(&name);
        let state = judge(read(&copy, &config), &states, &name, "missing");
        assert!(state.is_none() || name == newest, "{name} was not missed");
    }
}

#[test]
fn a_segment_of_another_store_or_place_is_refused() {
    let (disk, _, config) = written(300);
    let (foreign, ..) = written(300);
    let files: Vec<_> = disk.files().into_iter().filter(|file| file.0.starts_with("log")).collect();
    for (name, _) in &files {
        let (_, data) = foreign.files().into_iter().find(|file| file.0 == *name).expect("a twin");
        let found = read(&damaged(&disk, name, data), &config);
        let Err(Error::Corrupt { file, what, .. }) = found else { panic!("{found:?}") };
        assert_eq!((file.as_path(), what.contains("another store")), (Path::new(name), true));
    }
    let swapped = damaged(&disk, &files[0].0, files[1].1.clone());
    let found = read(&swapped, &config);
    assert!(matches!(found, Err(Error::Corrupt { .. })), "{found:?}");
}

#[test]
fn a_damaged_checkpoint_costs_only_its_own_session() {
    let (disk, states, config) = written(100_000);
    let files = disk.files();
    let (name, data) = files.iter().find(|file| file.0.starts_with("checkpoints")).expect("one");
    let mut wrong = data.clone();
    wrong[3] ^= 4;
    let store = MemoryStore::open(damaged(&disk, name, wrong), config).expect("it opens");
    let found = store.load(id(2));
    let Err(Error::Corrupt { file, .. }) = found else { panic!("{found:?}") };
    assert_eq!(file, Path::new(name));
    let last = &states[states.len() - 1];
    for n in [1, 3] {
        assert_eq!(store.load(id(n)).expect("it is right").as_ref(), last.get(&id(n)));
    }
}

#[test]
fn damage_after_opening_is_neither_read_nor_carried_forward() {
    let config = small(Durability::Power, 2000);
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), config).expect("a new store");
    store.begin(id(1), b"idle").expect("begun");
    store.append(id(1), 1, Ordered, b"the only record").expect("taken");
    store.begin(id(2), b"busy").expect("begun");
    store.commit().expect("written");
    disk.rot("log/0000000001.seg", 68 + 20 + 38 + 37 + 38 + 2);
    for seq in 1..200 {
        Step::Append(id(2), seq, Ordered, vec![0; 100]).take(&mut store).expect("taken");
        Step::Commit.take(&mut store).expect("written");
        if seq % 20 == 0 {
            store.checkpoint(id(2), seq, b"all").expect("written");
        }
    }
    let found = store.load(id(1));
    assert!(matches!(found, Err(Error::Corrupt { .. })), "{found:?}");
    assert!(disk.files().iter().any(|(name, _)| name == "log/0000000001.seg"), "it was deleted");
}
