//! Which blobs stay, and for how long.

use std::collections::HashSet;

use teatime_blobs::{BlobError, VaultUse};
use teatime_store::{Crash, MemoryDisk};
use teatime_wire::Holding;

use crate::common::vault::{
    FIRST, GRACE, SECOND, awake, collected, content, get, hear, open, open_at, put, refers, roots,
    space, stored,
};

#[test]
fn a_blob_of_a_room_without_sessions_stays_for_a_week() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    stored(&mut vault, 0, 1);
    assert_eq!(collected(&mut vault, 7 * GRACE - 1), 0);
    // A client comes, and leaves without a trace: what the session refers to is unknown.
    awake(&mut vault, 7 * GRACE, FIRST);
    hear(&mut vault, 7 * GRACE, FIRST, Holding::AtRest);
    assert_eq!(collected(&mut vault, 70 * GRACE), 0);
    hear(&mut vault, 70 * GRACE, FIRST, Holding::Gone);
    assert_eq!(collected(&mut vault, 70 * GRACE), 1);
    assert!(disk.files().is_empty());
}

#[test]
fn a_blob_is_removed_if_a_state_one_grace_after_its_last_use_does_not_refer_to_it() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let [needed, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    // Without a snapshot, nothing is removed.
    assert_eq!(collected(&mut vault, 10 * GRACE), 0);
    refers(&mut vault, 10 * GRACE, FIRST, &[needed, other]);
    refers(&mut vault, 11 * GRACE, FIRST, &[needed]);
    // An event after this snapshot, or after the next, may bring it back into the state.
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    refers(&mut vault, 12 * GRACE - 1, FIRST, &[needed]);
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    refers(&mut vault, 12 * GRACE, FIRST, &[needed]);
    let gone = vault.collect(12 * GRACE).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 2));
    assert_eq!(get(&mut vault, 12 * GRACE, other), Err(BlobError::Unknown));
    assert!(get(&mut vault, 12 * GRACE, needed).is_ok());
}

#[test]
fn a_blob_that_an_undo_brings_back_is_still_there() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let photo = stored(&mut vault, 0, 1);
    refers(&mut vault, GRACE, FIRST, &[photo]);
    refers(&mut vault, 5 * GRACE, FIRST, &[]);
    // An event soon brings it back; the next snapshot comes late.
    for time in [5 * GRACE, 6 * GRACE, 50 * GRACE] {
        assert_eq!(collected(&mut vault, time), 0);
    }
    refers(&mut vault, 50 * GRACE, FIRST, &[photo]);
    assert_eq!(collected(&mut vault, 51 * GRACE), 0);
}

#[test]
fn a_session_without_a_snapshot_retains_blobs_that_others_do_not_need() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    // Two versions of an app in one room: the log of the first has a photo, and is small.
    awake(&mut vault, 0, FIRST);
    awake(&mut vault, 0, SECOND);
    let [photo, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    refers(&mut vault, 1, SECOND, &[other]);
    refers(&mut vault, 2 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 2 * GRACE), 0);
    // Also after all clients have left it, and after the next start, with a power cut or without.
    hear(&mut vault, 2 * GRACE, FIRST, Holding::AtRest);
    refers(&mut vault, 4 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 4 * GRACE), 0);
    for found in [disk.crash(Crash::Power, 1), disk.crash(Crash::Process, 0)] {
        let mut again = open_at(&found, 5 * GRACE);
        awake(&mut again, 5 * GRACE, SECOND);
        refers(&mut again, 9 * GRACE, SECOND, &[other]);
        assert_eq!(collected(&mut again, 9 * GRACE), 0);
        assert!(get(&mut again, 9 * GRACE, photo).is_ok());
    }
    // A blob stored after its last client left does not wait for it.
    let later = stored(&mut vault, 5 * GRACE, 3);
    refers(&mut vault, 6 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 6 * GRACE), 1);
    assert_eq!(get(&mut vault, 6 * GRACE, later), Err(BlobError::Unknown));
    // Once it has a snapshot, it retains what that refers to.
    awake(&mut vault, 7 * GRACE, FIRST);
    refers(&mut vault, 7 * GRACE, FIRST, &[]);
    refers(&mut vault, 7 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 7 * GRACE), 1);
    assert!(get(&mut vault, 7 * GRACE, other).is_ok());
}

#[test]
fn a_reflector_that_is_restarted_every_day_removes_unneeded_blobs() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    awake(&mut vault, 0, FIRST);
    let [needed, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    refers(&mut vault, 0, FIRST, &[needed, other]);
    refers(&mut vault, 0, FIRST, &[needed]);
    // A chunk of a blob that is never finished.
    let id = vault.put(1, space().id(), b"a chunk").expect("there is space");
    vault.save().expect("the disk works");
    let half = GRACE / 2;
    let mut again = open_at(&disk.crash(Crash::Process, 0), half);
    awake(&mut again, half, FIRST);
    hear(&mut again, half, FIRST, Holding::AtRest);
    assert_eq!(again.collect(GRACE - 1).expect("the disk works"), VaultUse::default());
    let mut again = open_at(&disk, GRACE);
    awake(&mut again, GRACE, FIRST);
    refers(&mut again, GRACE, FIRST, &[needed]);
    let gone = again.collect(GRACE + 1).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 3));
    assert_eq!(again.missing(GRACE, space().id(), vec![id]), [id]);
    assert!(get(&mut again, GRACE, needed).is_ok());
    // A state that refers to nothing is known.
    refers(&mut again, 3 * GRACE, FIRST, &[]);
    refers(&mut again, 5 * GRACE, FIRST, &[]);
    let mut again = open_at(&disk, 5 * GRACE);
    assert_eq!(collected(&mut again, 5 * GRACE), 1);
}

#[test]
fn a_clock_that_was_wrong_removes_nothing() {
    let disk = MemoryDisk::default();
    let mut vault = open_at(&disk, 100 * GRACE);
    awake(&mut vault, 100 * GRACE, FIRST);
    stored(&mut vault, 100 * GRACE, 1);
    refers(&mut vault, 102 * GRACE, FIRST, &[]);
    vault.save().expect("the disk works");
    let mut again = open_at(&disk, 3 * GRACE);
    assert_eq!(collected(&mut again, 5 * GRACE), 0);
}

#[test]
fn a_used_blob_stays_and_so_do_shared_chunks() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let mut shared = content(1, 3);
    let first = put(&mut vault, 0, &shared).expect("there is space");
    *shared.last_mut().expect("it has some") ^= 1;
    let second = put(&mut vault, 0, &shared).expect("there is space");
    assert_eq!(vault.usage().chunks, 4);
    // It was just fetched, or stored again: an event that refers to it may be on its way.
    get(&mut vault, GRACE, first).expect("it is there");
    refers(&mut vault, 2 * GRACE - 1, FIRST, &[second]);
    assert_eq!(collected(&mut vault, 9 * GRACE), 0);
    assert_eq!(put(&mut vault, 2 * GRACE - 1, &content(1, 3)), Ok(first));
    refers(&mut vault, 3 * GRACE - 2, FIRST, &[second]);
    assert_eq!(collected(&mut vault, 9 * GRACE), 0);
    refers(&mut vault, 3 * GRACE - 1, FIRST, &[second]);
    let gone = vault.collect(9 * GRACE).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 1));
    assert_eq!(get(&mut vault, 9 * GRACE, second), Ok(shared));
}

#[test]
fn persisted_data_retains_its_blobs_until_it_is_replaced() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let [needed, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    hear(&mut vault, 0, FIRST, Holding::Exactly(roots(&[needed, other])));
    hear(&mut vault, GRACE, FIRST, Holding::Exactly(roots(&[needed])));
    vault.save().expect("the disk works");
    let mut vault = open_at(&disk, GRACE);
    assert_eq!(collected(&mut vault, 2 * GRACE - 1), 0);
    assert_eq!(collected(&mut vault, 2 * GRACE), 1);
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    assert!(get(&mut vault, 90 * GRACE, needed).is_ok());
}

#[test]
fn an_unfinished_blob_is_removed_after_a_grace() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    disk.die_after(7);
    put(&mut vault, 0, &content(1, 4)).expect_err("the disk fails in the middle");
    let mut found = open(&disk.crash(Crash::Process, 0));
    let left = found.usage();
    assert!(left.chunks > 0 && left.blobs == 0);
    assert_eq!(found.collect(GRACE - 1).expect("the disk works"), VaultUse::default());
    assert_eq!(found.collect(GRACE).expect("the disk works").bytes, left.bytes);
    assert_eq!(found.usage(), VaultUse::default());
}

#[test]
fn no_blob_is_removed_while_the_references_of_a_session_are_damaged() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    awake(&mut vault, 0, FIRST);
    stored(&mut vault, 0, 1);
    refers(&mut vault, GRACE, FIRST, &[]);
    let refs = disk.files().into_iter().find(|(file, _)| file.ends_with(".refs"));
    disk.rot(&refs.expect("there is one").0, 12);
    let mut rotten = open_at(&disk, GRACE);
    assert_eq!(collected(&mut rotten, 50 * GRACE), 0);
    awake(&mut rotten, 50 * GRACE, FIRST);
    refers(&mut rotten, 50 * GRACE, FIRST, &[]);
    assert_eq!(collected(&mut rotten, 50 * GRACE), 1);
    rotten.retain_sessions(50 * GRACE, &HashSet::new()).expect("the disk works");
    assert!(disk.files().is_empty());
}

#[test]
fn blobs_that_only_removed_sessions_referred_to_are_removed() {
    let mut vault = open(&MemoryDisk::default());
    let sessions = [FIRST, SECOND];
    sessions.into_iter().for_each(|session| awake(&mut vault, 0, session));
    let handles = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    for (session, handle) in sessions.into_iter().zip(handles) {
        refers(&mut vault, 0, session, &[handle]);
    }
    // The sessions may not be stored yet.
    vault.retain_sessions(1, &HashSet::new()).expect("the disk works");
    sessions.into_iter().for_each(|session| hear(&mut vault, 1, session, Holding::AtRest));
    vault.retain_sessions(1, &[FIRST].into()).expect("the disk works");
    refers(&mut vault, GRACE, FIRST, &handles[..1]);
    assert_eq!(collected(&mut vault, GRACE), 0);
    refers(&mut vault, GRACE + 1, FIRST, &handles[..1]);
    assert_eq!(collected(&mut vault, GRACE + 1), 1);
    assert!(get(&mut vault, GRACE, handles[0]).is_ok());
}

#[test]
fn references_that_could_not_be_written_count_and_are_written_once_the_disk_works() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    awake(&mut vault, 0, FIRST);
    let photo = stored(&mut vault, 0, 1);
    refers(&mut vault, GRACE, FIRST, &[]);
    let list = |disk: &MemoryDisk| {
        let files = disk.files().into_iter();
        files.filter(|(file, _)| file.ends_with(".refs")).collect::<Vec<_>>()
    };
    let before = list(&disk);
    disk.set_read_only(true);
    let needs = Holding::Snapshot(roots(&[photo]), 0);
    vault.hear(GRACE, space().id(), FIRST, needs).expect_err("it cannot be written");
    assert_eq!(list(&disk), before);
    // What it refers to stays, although the list on the disk lacks it.
    vault.collect(9 * GRACE).expect_err("it still cannot");
    assert!(get(&mut vault, 9 * GRACE, photo).is_ok());
    disk.set_read_only(false);
    assert_eq!(collected(&mut vault, 9 * GRACE), 0);
    assert_ne!(list(&disk), before);
    let mut again = open_at(&disk.crash(Crash::Process, 0), 10 * GRACE);
    awake(&mut again, 10 * GRACE, FIRST);
    assert_eq!(collected(&mut again, 99 * GRACE), 0);
    assert!(get(&mut again, 99 * GRACE, photo).is_ok());
}
