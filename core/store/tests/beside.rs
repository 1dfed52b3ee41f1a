//! A session that is read while a reflector has the store open, and goes on.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use teatime_store::{Config, DiskStore, Durability, Error, Storage, load};

const TALK: [u8; 32] = [1; 32];
const NOISE: [u8; 32] = [2; 32];

/// Writes until told to stop: small segments, many checkpoints, and so much garbage that segments go all the time.
fn write(dir: &Path, committed: &AtomicU64, stop: &AtomicBool) -> Result<(), Error> {
    let config =
        Config { durability: Durability::Process, segment_bytes: 4096, garbage_percent: 10 };
    let mut store = DiskStore::open_dir(dir, config)?;
    store.begin(&TALK, b"talk")?;
    store.begin(&NOISE, b"noise")?;
    store.commit()?;
    for seq in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        store.append(&TALK, seq, 0, &seq.to_be_bytes())?;
        store.append(&NOISE, seq, 0, &[7; 700])?;
        store.commit()?;
        committed.store(seq, Ordering::Release);
        if seq % 20 == 0 {
            store.checkpoint(&TALK, seq, &seq.to_be_bytes())?;
            store.checkpoint(&NOISE, seq, b"")?;
        }
    }
    Ok(())
}

#[test]
fn what_is_read_beside_a_reflector_is_all_that_was_committed_before() {
    let dir = tempfile::tempdir().expect("there is room");
    let (committed, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(dir.path(), &committed, &stop));
        while committed.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        let read = || -> Result<(), Error> {
            let before = committed.load(Ordering::Acquire);
            let stored = load(dir.path(), &TALK)?.expect("it has begun");
            assert_eq!(stored.head, b"talk");
            let mut newest = 0;
            if let Some(checkpoint) = &stored.checkpoint {
                newest = checkpoint.seq;
                assert_eq!(checkpoint.bytes, newest.to_be_bytes());
            }
            for record in &stored.records {
                assert_eq!(
                    (record.seq, &record.bytes[..]),
                    (newest + 1, &record.seq.to_be_bytes()[..])
                );
                newest = record.seq;
            }
            assert!(newest >= before, "{newest} of {before}");
            assert_eq!(load(dir.path(), &[3; 32])?.map(drop), None);
            Ok(())
        };
        // Until segments with which it began have gone while it was read.
        let until = Instant::now() + Duration::from_secs(60);
        let mut ended = Ok(());
        while ended.is_ok() && oldest_segment(dir.path()) <= 5 {
            ended = read();
            if Instant::now() > until {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("it does not panic").expect("the disk works");
        ended.expect("it can be read");
        assert!(oldest_segment(dir.path()) > 5, "nothing has gone");
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
