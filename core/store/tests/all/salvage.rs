//! Salvaging copies what is readable of a damaged store, and nothing damaged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{id, small};
use teatime_reflector::storage::RecordKind::{Ordered, Time};
use teatime_store::{DiskStore, Durability, Key, Salvaged, check, salvage};

/// How many ordered messages each of the three sessions has.
const MESSAGES: u64 = 14;

fn message(seq: u64) -> Vec<u8> {
    vec![seq as u8; 30]
}

/// Many commits in many segments. One session has a checkpoint, one has records without a number of their own.
fn write(dir: &Path) {
    let mut store = DiskStore::open_dir(dir, small(Durability::Power, 600)).expect("a new store");
    for session in 1..=3 {
        store.begin(id(session), &[session; 5]).expect("begun");
    }
    for seq in 1..=MESSAGES {
        for session in 1..=3 {
            store.append(id(session), seq, Ordered, &message(seq)).expect("taken");
            store.commit().expect("written");
        }
        store.append(id(3), seq, Time, b"a time").expect("taken");
        store.commit().expect("written");
        if seq == 10 {
            store.checkpoint(id(2), 9, b"all so far").expect("written");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let in_folder = |folder: &str| fs::read_dir(dir.join(folder)).expect("it is there");
    let all = ["", "log", "checkpoints"].into_iter().flat_map(in_folder);
    let mut all: Vec<_> = all.map(|entry| entry.expect("readable").path()).collect();
    all.retain(|path| path.is_file() && path.file_name().is_some_and(|name| name != "LOCK"));
    all.sort();
    all
}

/// Salvages, and checks that each copied session is a prefix of the original. Returns how many sessions are
/// whole, and how many messages follow checkpoints.
fn judged(dir: &Path, into: &Path, case: &str) -> (usize, u64) {
    let _ = fs::remove_dir_all(into);
    let found = salvage(dir, into).unwrap_or_else(|error| panic!("{case}: {error}"));
    let store = DiskStore::open_dir(into, small(Durability::Power, 600)).expect(case);
    let (mut whole, mut messages) = (0, 0);
    for outcome in &found.outcomes {
        let (key, up_to) = match outcome {
            Salvaged::Whole(key) => (*key, None),
            Salvaged::UpTo(key, seq) => (*key, Some(*seq)),
            Salvaged::Lost(key, _) => {
                assert_eq!(store.load(*key).expect(case), None, "{case}");
                continue;
            }
        };
        let Key::Session(id) = key else { panic!("{case}: {key}") };
        let number = id.0[0];
        let got = store.load(key).expect(case).expect(case);
        assert_eq!(got.head, &[number; 5][..], "{case}");
        let mut newest = 0;
        if let Some(checkpoint) = got.checkpoint {
            assert_eq!((number, checkpoint.seq, &checkpoint.bytes[..]), (2, 9, &b"all so far"[..]));
            newest = checkpoint.seq;
        }
        for record in &got.records {
            if record.kind == Ordered {
                newest += 1;
                messages += 1;
                assert_eq!(record.bytes, message(newest), "{case}");
            }
            assert_eq!(record.seq, newest, "{case}");
        }
        assert_eq!(newest, up_to.unwrap_or(newest), "{case}");
        whole += usize::from(newest == MESSAGES);
    }
    assert_eq!(found.outcomes.len() + found.nameless, 3, "{case}");
    (whole, messages)
}

#[test]
fn damage_costs_only_what_it_hit_and_what_came_after_in_the_same_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, into) = (folder.path().join("store"), folder.path().join("new"));
    write(&dir);
    assert_eq!(judged(&dir, &into, "undamaged"), (3, 3 * MESSAGES - 9));
    for (number, path) in files(&dir).into_iter().enumerate() {
        let right = fs::read(&path).expect("readable");
        for at in (number * 13 % right.len()..right.len()).step_by(97) {
            let mut wrong = right.clone();
            wrong[at] ^= 0x10;
            fs::write(&path, wrong).expect("writable");
            let case = format!("{} at {at}", path.display());
            let (whole, messages) = judged(&dir, &into, &case);
            let is_first = path.ends_with("log/0000000001.seg");
            // A byte is in one commit, and all commits but the first belong to one session.
            assert!(whole >= 2 || is_first, "{case}: {whole}, {messages}");
        }
        fs::write(&path, right).expect("writable");
    }
    assert_eq!(judged(&dir, &into, "mended"), (3, 3 * MESSAGES - 9));
}

#[test]
fn a_refused_store_can_be_salvaged_and_an_existing_store_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, into) = (folder.path().join("store"), folder.path().join("new"));
    write(&dir);
    let segment = files(&dir).into_iter().find(|path| path.ends_with("log/0000000005.seg"));
    let segment = segment.expect("there are many");
    fs::remove_file(&segment).expect("it is there");
    assert!(check(&dir).expect("it can be looked at").problem.is_some());
    let (whole, messages) = judged(&dir, &into, "a segment is missing");
    assert!(whole < 3 && messages > 4, "{whole}, {messages}");
    assert!(salvage(&dir, &into).is_err(), "the new store is there already");
    assert!(salvage(folder.path().join("nowhere"), &into).is_err());
}
