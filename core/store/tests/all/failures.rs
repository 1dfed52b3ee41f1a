//! A disk that is full, read-only or broken: the store refuses new changes, loses nothing committed,
//! and goes on when the disk does.

use crate::common::content::{Content, content};
use crate::common::{id, small, used};
use teatime_reflector::storage::RecordKind::{Ordered, Time};
use teatime_store::{Config, Crash, Durability, Error, MemoryDisk, MemoryStore};

fn with_one_record() -> (MemoryDisk, MemoryStore, Content) {
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), Config::default()).expect("a new store");
    store.begin(id(1), b"head").expect("begun");
    store.append(id(1), 1, Ordered, b"first").expect("taken");
    store.commit().expect("written");
    let before = content(&store).expect("readable");
    (disk, store, before)
}

/// After the failure everything is as before, now and after a crash; then the store goes on.
fn assert_nothing_is_lost(disk: &MemoryDisk, store: &mut MemoryStore, before: &Content) {
    assert_eq!(content(store).expect("readable"), *before);
    for (crash, seed) in [(Crash::Process, 0), (Crash::Power, 1), (Crash::Power, 2)] {
        let found = disk.crash(crash, seed);
        let store = MemoryStore::open(found, Config::default()).expect("it opens");
        assert_eq!(content(&store).expect("readable"), *before);
    }
    store.append(id(1), 2, Ordered, b"again").expect("taken");
    store.commit().expect("written");
    let after = store.load(id(1)).expect("readable").expect("there");
    assert_eq!(after.records.last().map(|record| &record.bytes[..]), Some(&b"again"[..]));
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_the_store_goes_on_when_there_is_space() {
    for room in [0, 1, 10, 30, 70] {
        let (disk, mut store, before) = with_one_record();
        disk.set_capacity(Some(used(&disk) + room));
        store.append(id(1), 2, Ordered, &[7; 100]).expect("gathered");
        let refused = store.commit();
        assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
        let refused = store.checkpoint(id(1), 1, &[7; 1000]);
        assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
        disk.set_capacity(None);
        assert_nothing_is_lost(&disk, &mut store, &before);
    }
}

#[test]
fn a_read_only_disk_is_reported_as_such_and_the_store_goes_on_when_it_is_writable() {
    let (disk, mut store, before) = with_one_record();
    disk.set_read_only(true);
    store.append(id(1), 2, Ordered, b"second").expect("gathered");
    let refused = store.commit();
    assert!(matches!(refused, Err(Error::Permission(_))), "{refused:?}");
    // The store cannot even remove what may be behind the end of the log.
    let refused = store.append(id(1), 2, Ordered, b"second");
    assert!(matches!(refused, Err(Error::Permission(_))), "{refused:?}");
    disk.set_read_only(false);
    assert_nothing_is_lost(&disk, &mut store, &before);
}

#[test]
fn failed_and_torn_writes_and_syncs_leave_nothing_behind() {
    let faults: [fn(&MemoryDisk); 5] = [
        MemoryDisk::fail_next_write,
        MemoryDisk::fail_next_sync,
        |disk| disk.tear_next_write(1),
        |disk| disk.tear_next_write(25),
        |disk| disk.tear_next_write(usize::MAX),
    ];
    for fault in faults {
        let (disk, mut store, before) = with_one_record();
        fault(&disk);
        store.append(id(1), 2, Ordered, b"second").expect("gathered");
        assert!(matches!(store.commit(), Err(Error::Io(_))));
        assert_nothing_is_lost(&disk, &mut store, &before);
        let (disk, mut store, before) = with_one_record();
        fault(&disk);
        assert!(matches!(store.checkpoint(id(1), 1, b"all"), Err(Error::Io(_))));
        assert_nothing_is_lost(&disk, &mut store, &before);
        let left = disk.files().into_iter().find(|(name, _)| name.ends_with(".ckpt"));
        assert_eq!(left, None, "what does not count is deleted");
    }
}

/// After a failed sync it is unknown what the segment has on the disk: it gets no more commits.
#[test]
fn after_a_failed_sync_the_log_goes_on_in_another_segment() {
    let (disk, mut store, _) = with_one_record();
    disk.fail_next_sync();
    store.append(id(1), 2, Ordered, b"second").expect("gathered");
    assert!(store.commit().is_err());
    store.append(id(1), 2, Ordered, b"second").expect("gathered");
    store.commit().expect("written");
    assert_eq!(store.stats().segments, 2);
}

#[test]
fn invalid_calls_are_refused_and_change_nothing() {
    let (_, mut store, before) = with_one_record();
    assert!(matches!(store.begin(id(1), b""), Err(Error::Exists)));
    assert!(matches!(store.append(id(2), 1, Ordered, b""), Err(Error::Unknown)));
    assert!(matches!(store.checkpoint(id(2), 1, b""), Err(Error::Unknown)));
    assert!(matches!(store.remove(id(2)), Err(Error::Unknown)));
    let late = store.append(id(1), 0, Ordered, b"");
    assert!(matches!(late, Err(Error::OutOfOrder { seq: 0, newest: 1 })), "{late:?}");
    let large = vec![0; teatime_store::limits::MAX_RECORD + 1];
    assert!(matches!(store.append(id(1), 2, Ordered, &large), Err(Error::TooLarge { .. })));
    let large = vec![0; teatime_store::limits::MAX_HEAD + 1];
    assert!(matches!(store.begin(id(2), &large), Err(Error::TooLarge { .. })));
    assert_eq!(content(&store).expect("readable"), before);
    store.checkpoint(id(1), 1, b"one").expect("written");
    let old = store.checkpoint(id(1), 0, b"zero");
    assert!(matches!(old, Err(Error::OutOfOrder { seq: 0, newest: 1 })), "{old:?}");
    store.remove(id(1)).expect("gathered");
    assert!(matches!(store.append(id(1), 9, Ordered, b""), Err(Error::Unknown)));
    store.begin(id(1), b"another").expect("the name is free again");
    store.checkpoint(id(1), 0, b"zero").expect("nothing of the one before counts");
    let checkpoint = store.load(id(1)).expect("readable").expect("there").checkpoint;
    assert_eq!(checkpoint.expect("it has one").bytes, &b"zero"[..]);
    store.remove(id(1)).expect("gathered");
    store.begin(id(1), b"another").expect("the name is free again");
    store.commit().expect("written");
    let stored = store.load(id(1)).expect("readable").expect("there");
    assert_eq!(
        (&stored.head[..], stored.checkpoint, stored.records),
        (&b"another"[..], None, vec![])
    );
}

#[test]
fn an_idle_session_pins_no_segment_and_garbage_stays_bounded() {
    let config = small(Durability::Process, 10_000);
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), config.clone()).expect("a new store");
    store.begin(id(1), b"idle").expect("begun");
    for seq in 1..=20 {
        store.append(id(1), seq, Ordered, &[1; 200]).expect("taken");
    }
    store.begin(id(2), b"busy").expect("begun");
    for seq in 1..=5000u64 {
        if seq % 7 == 0 {
            // Cleaning starts again after a failure.
            disk.fail_next_write();
            store.append(id(2), seq, Ordered, &[2; 200]).expect("taken");
            store.commit().expect_err("it fails");
        }
        store.append(id(2), seq, Ordered, &[2; 200]).expect("taken");
        store.commit().expect("written");
        if seq % 10 == 0 {
            store.checkpoint(id(2), seq, b"so far").expect("written");
        }
        let stats = store.stats();
        assert!(stats.disk_bytes < 4 * 10_000 + 2 * stats.live_bytes, "{stats:?} at {seq}");
    }
    let oldest =
        disk.files().into_iter().map(|(name, _)| name).find(|name| name.starts_with("log"));
    assert!(oldest.as_deref() > Some("log/0000000050.seg"), "{oldest:?}");
    let before = content(&store).expect("readable");
    assert_eq!(before[&id(1)].records.len(), 20);
    drop(store);
    let store = MemoryStore::open(disk, config).expect("it opens");
    assert_eq!(content(&store).expect("readable"), before);
}

#[test]
fn a_checkpoint_written_beside_the_store_covers_what_was_there_when_it_was_staged() {
    let (disk, mut store, _) = with_one_record();
    let staging = store.stage(id(1), 1, b"up to one".to_vec()).expect("staged");
    // The session goes on meanwhile, even without a new sequence number.
    let writer = std::thread::spawn(move || staging.write());
    store.append(id(1), 1, Time, b"still one").expect("taken");
    store.append(id(1), 2, Ordered, b"second").expect("taken");
    store.commit().expect("written");
    store.append(id(1), 3, Ordered, b"third").expect("taken");
    store.install(writer.join().expect("it ends")).expect("installed");
    for seed in 0..8 {
        let disk = disk.crash(Crash::Power, seed);
        let store = MemoryStore::open(disk, Config::default()).expect("it opens");
        let stored = store.load(id(1)).expect("readable").expect("there");
        assert_eq!(stored.checkpoint.expect("it has one").bytes, &b"up to one"[..]);
        let records: Vec<_> =
            stored.records.iter().map(|record| (record.seq, record.kind)).collect();
        assert_eq!(records, [(1, Time), (2, Ordered), (3, Ordered)]);
    }
}

#[test]
fn a_checkpoint_that_comes_too_late_or_was_not_written_changes_nothing() {
    let (disk, mut store, before) = with_one_record();
    disk.fail_next_write();
    let staged = store.stage(id(1), 1, vec![1]).expect("staged").write();
    store.append(id(1), 2, Ordered, b"second").expect("taken");
    assert!(matches!(store.install(staged), Err(Error::Io(_))));
    assert_eq!(content(&store).expect("readable"), before);
    store.commit().expect("what has gathered stays");
    assert_eq!(store.infos()[0].newest, 2);

    let first = store.stage(id(1), 2, b"first".to_vec()).expect("staged");
    let second = store.stage(id(1), 2, b"second".to_vec()).expect("staged").write();
    store.install(second).expect("installed");
    let late = store.install(first.write());
    assert!(matches!(late, Err(Error::OutOfOrder { .. })), "{late:?}");
    let stored = store.load(id(1)).expect("readable").expect("there");
    assert_eq!(stored.checkpoint.expect("it has one").bytes, &b"second"[..]);

    let old = store.stage(id(1), 2, b"of the one before".to_vec()).expect("staged").write();
    store.remove(id(1)).expect("gathered");
    store.begin(id(1), b"new").expect("begun");
    assert!(matches!(store.install(old), Err(Error::Unknown)));
    store.commit().expect("written");
    assert_eq!(store.load(id(1)).expect("readable").expect("there").checkpoint, None);
    let files = disk.files();
    assert!(!files.iter().any(|(name, _)| name.ends_with(".ckpt")), "files are left over");
    let again = store.stage(id(1), 0, vec![]).expect("staged");
    drop(store);
    let locked = MemoryStore::open(disk.clone(), Config::default()).map(drop);
    assert!(
        matches!(locked, Err(Error::Locked)),
        "a checkpoint is still to be written: {locked:?}"
    );
    drop(again);
    MemoryStore::open(disk, Config::default()).expect("the checkpoint was dropped");
}

/// Even if single commits are not durable, what was carried forward is durable before its old segment
/// is deleted.
#[test]
fn what_was_durable_stays_durable_when_the_log_is_cleaned() {
    let config = small(Durability::Process, 2000);
    let disk = MemoryDisk::default();
    let mut store = MemoryStore::open(disk.clone(), config.clone()).expect("a new store");
    store.begin(id(1), b"idle").expect("begun");
    store.append(id(1), 1, Ordered, b"its record").expect("taken");
    store.begin(id(2), b"busy").expect("begun");
    store.checkpoint(id(1), 0, b"its checkpoint").expect("written");
    let wanted = store.load(id(1)).expect("readable");
    let (mut seq, mut found_whole) = (0, 0);
    for round in 0..300u64 {
        for _ in 0..3 {
            seq += 1;
            store.append(id(2), seq, Ordered, &[2; 200]).expect("taken");
            store.commit().expect("written");
        }
        if round % 4 == 0 {
            store.checkpoint(id(2), seq, b"so far").expect("written");
        }
        for seed in 0..3 {
            match MemoryStore::open(disk.crash(Crash::Power, seed), config.clone()) {
                Ok(store) => {
                    assert_eq!(store.load(id(1)).expect("readable"), wanted, "round {round}");
                    found_whole += 1;
                }
                // Commits that were not made durable may have holes, with others behind them.
                Err(Error::Corrupt { what, .. }) => {
                    assert!(what.contains("commit") || what.contains("checksum"), "{what}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(found_whole > 300, "only {found_whole} of 900 could be opened");
}
