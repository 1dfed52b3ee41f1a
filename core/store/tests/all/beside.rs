//! A session is read while a reflector has the store open and goes on writing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use teatime_reflector::storage::RecordKind::Ordered;
use teatime_store::{Config, DiskStore, Durability, Error, Key, load};
use teatime_wire::SessionId;

use crate::common::id;

const TALK: Key = Key::Session(SessionId([1; 32]));
const NOISE: Key = Key::Session(SessionId([2; 32]));

/// Writes until `stop` is set: small segments, many checkpoints, and so much garbage that the store deletes
/// segments all the time.
fn write(dir: &Path, committed: &AtomicU64, stop: &AtomicBool) -> Result<(), Error> {
    let config =
        Config { durability: Durability::Process, segment_bytes: 4096, garbage_percent: 10 };
    let mut store = DiskStore::open_dir(dir, config)?;
    store.begin(TALK, b"talk")?;
    store.begin(NOISE, b"noise")?;
    store.commit()?;
    for seq in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        store.append(TALK, seq, Ordered, &seq.to_be_bytes())?;
        store.append(NOISE, seq, Ordered, &[7; 700])?;
        store.commit()?;
        committed.store(seq, Ordering::Release);
        if seq % 20 == 0 {
            store.checkpoint(TALK, seq, &seq.to_be_bytes())?;
            store.checkpoint(NOISE, seq, b"")?;
        }
    }
    Ok(())
}

#[test]
fn reading_beside_a_reflector_finds_all_that_was_committed_before() {
    let dir = tempfile::tempdir().expect("there is room");
    let (committed, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(dir.path(), &committed, &stop));
        while committed.load(Ordering::Acquire) == 0 && !writer.is_finished() {
            std::thread::yield_now();
        }
        let read = || -> Result<(), Error> {
            let before = committed.load(Ordering::Acquire);
            let stored = load(dir.path(), TALK)?.expect("it has begun");
            assert_eq!(stored.head, &b"talk"[..]);
            let mut newest = 0;
            if let Some(checkpoint) = &stored.checkpoint {
                newest = checkpoint.seq;
                assert_eq!(checkpoint.bytes, &newest.to_be_bytes()[..]);
            }
            for record in &stored.records {
                assert_eq!(
                    (record.seq, &record.bytes[..]),
                    (newest + 1, &record.seq.to_be_bytes()[..])
                );
                newest = record.seq;
            }
            assert!(newest >= before, "{newest} of {before}");
            assert_eq!(load(dir.path(), id(3))?.map(drop), None);
            Ok(())
        };
        // Until segments that were there at the beginning were deleted while it was read.
        let until = Instant::now() + Duration::from_secs(60);
        let mut ended = Ok(());
        while ended.is_ok() && oldest_segment(dir.path()) <= 40 {
            ended = read();
            if Instant::now() > until {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("it does not panic").expect("the disk works");
        ended.expect("it can be read");
        assert!(oldest_segment(dir.path()) > 40, "no segment was deleted");
    });
}

/// Makes a store in which both sessions have a checkpoint, and closes it.
fn closed(dir: &Path) {
    let mut store = DiskStore::open_dir(dir, Config::default()).expect("there is room");
    for session in [TALK, NOISE] {
        store.begin(session, b"head").expect("it is new");
        store.append(session, 1, Ordered, b"record").expect("it has begun");
        store.commit().expect("the disk works");
        store.checkpoint(session, 1, b"state").expect("the disk works");
    }
    store.commit().expect("the disk works");
}

#[test]
fn a_missing_checkpoint_does_not_matter_to_other_sessions() {
    let dir = tempfile::tempdir().expect("there is room");
    closed(dir.path());
    let checkpoints = || {
        let files = fs::read_dir(dir.path().join("checkpoints")).expect("it is there").flatten();
        files.map(|file| file.path()).collect::<Vec<_>>()
    };
    let all = checkpoints();
    assert_eq!(all.len(), 2);
    for gone in all {
        let content = fs::read(&gone).expect("it is there");
        fs::remove_file(&gone).expect("it is there");
        let loaded = [TALK, NOISE].map(|session| load(dir.path(), session));
        // Its own session is reported as damaged, before it has been read twenty times.
        assert_eq!(loaded.iter().filter(|one| matches!(one, Ok(Some(_)))).count(), 1, "{loaded:?}");
        fs::write(&gone, content).expect("there is room");
    }
}

#[test]
fn a_reader_does_not_prevent_opening() {
    let dir = tempfile::tempdir().expect("there is room");
    closed(dir.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = Ok(());
            while read.is_ok() && !stop.load(Ordering::Relaxed) {
                read = load(dir.path(), TALK).map(drop);
            }
            read
        });
        let open = || DiskStore::open_dir(dir.path(), Config::default()).map(drop);
        let opened: Result<Vec<()>, Error> = (0..200).map(|_| open()).collect();
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("it does not panic").expect("it can be read");
        opened.expect("no other store has it open");
    });
}

fn oldest_segment(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("log")).expect("it is there").flatten();
    let numbers = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        name.strip_suffix(".seg")?.parse().ok()
    });
    numbers.min().unwrap_or(0)
}
