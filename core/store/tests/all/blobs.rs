//! Blobs on a disk that fills up, fails, rots, and loses power; and which of them stay.

use std::collections::HashSet;
use std::sync::Arc;

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{
    BlobError, BlobHandle, Download, Serving, Space, Upload, Vault, VaultLimits, VaultUse,
};
use teatime_store::{Crash, DiskBlobs, Durability, MemoryDisk, RealDisk};
use teatime_wire::{Digest, Holding, SessionId};

type DiskVault = Vault<DiskBlobs<MemoryDisk>>;

const GRACE: u64 = VaultLimits::ON_DISK.grace;

fn open(disk: &MemoryDisk) -> DiskVault {
    open_at(disk, 0)
}

fn open_at(disk: &MemoryDisk, now: u64) -> DiskVault {
    let blobs = DiskBlobs::open(disk.clone(), Durability::Power).expect("the disk works");
    let limits = VaultLimits { reserve: 0, ..VaultLimits::ON_DISK };
    Vault::open(blobs, limits, now).expect("the disk works")
}

fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", None))
}

fn content(seed: u8, chunks: usize) -> Vec<u8> {
    (0..chunks * BLOB_CHUNK - 9).map(|at| (at / 5 + at / BLOB_CHUNK) as u8 ^ seed).collect()
}

fn put<F: teatime_blobs::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    content: &[u8],
) -> Result<BlobHandle, BlobError> {
    let mut upload = Upload::new(space(), content.len() as u64)?;
    let (mut serving, mut rest) = (Serving::default(), content);
    upload.connected();
    loop {
        if let Some(handle) = upload.handle() {
            return Ok(handle);
        }
        if upload.wants() > 0 {
            upload.push(rest.split_off(..upload.wants()).expect("it wants what there is"));
            continue;
        }
        let frame = upload.poll_send().expect("somebody has something to do");
        upload.received(&serving.received(now, vault, &frame).expect("the client is right"))?;
    }
}

fn get<F: teatime_blobs::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    handle: BlobHandle,
) -> Result<Vec<u8>, BlobError> {
    let mut download = Download::new(space(), handle)?;
    let (mut serving, mut content) = (Serving::default(), Vec::new());
    download.connected();
    while !download.is_done() {
        let frame = download.poll_send().expect("somebody has something to do");
        download.received(&serving.received(now, vault, &frame).expect("the client is right"))?;
        while let Some(piece) = download.take() {
            content.extend(piece);
        }
    }
    Ok(content)
}

#[test]
fn blobs_outlive_their_server() {
    let directory = tempfile::tempdir().expect("there is room");
    let open = || {
        let disk = RealDisk::new(directory.path());
        let blobs = DiskBlobs::open(disk, Durability::Process).expect("the disk works");
        Vault::open(blobs, VaultLimits::ON_DISK, 0).expect("the disk works")
    };
    let content = content(1, 4);
    let handle = put(&mut open(), 0, &content).expect("there is room");
    let mut again = open();
    assert_eq!(get(&mut again, 0, handle), Ok(content));
    assert_eq!((again.usage().blobs, again.usage().chunks), (1, 4));
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_from_what_is_there() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let first = content(1, 4);
    let handle = put(&mut vault, 0, &first).expect("there is room");
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    // It gets full in the first chunk, in a later one, in the manifest.
    let second = content(2, 4);
    for room in [100, 2 * BLOB_CHUNK + 100, second.len() + 100] {
        disk.set_capacity(Some((used + room) as u64));
        assert_eq!(put(&mut vault, 0, &second), Err(BlobError::ServerDiskFull), "{room}");
        assert_eq!(get(&mut vault, 0, handle).as_ref(), Ok(&first));
        // What was begun takes no room.
        assert!(disk.files().iter().all(|(file, _)| !file.contains("unfinished")));
    }
    // Once there is room it goes on.
    disk.set_capacity(None);
    let handle = put(&mut vault, 0, &second).expect("there is room");
    assert_eq!(get(&mut open(&disk), 0, handle), Ok(second));
}

#[test]
fn a_failing_disk_is_told() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    disk.set_read_only(true);
    assert_eq!(put(&mut vault, 0, &content(1, 2)), Err(BlobError::ServerFailed));
    disk.set_read_only(false);
    disk.fail_next_sync();
    assert_eq!(put(&mut vault, 0, &content(1, 2)), Err(BlobError::ServerFailed));
    put(&mut vault, 0, &content(1, 2)).expect("it works again");
}

#[test]
fn after_a_crash_at_any_moment_a_blob_that_was_told_to_be_complete_is_there() {
    let (first, second) = (content(1, 2), content(2, 2));
    for operations in 0..24 {
        let disk = MemoryDisk::default();
        let mut vault = open(&disk);
        let told = put(&mut vault, 0, &first).expect("there is room");
        disk.die_after(operations);
        let later = put(&mut vault, 0, &second);
        for seed in 0..8 {
            let mut found = open(&disk.crash(Crash::Power, seed));
            assert_eq!(get(&mut found, 0, told).as_ref(), Ok(&first));
            if let Ok(later) = later {
                assert_eq!(get(&mut found, 0, later).as_ref(), Ok(&second));
            }
            // What is left of an upload is of use.
            let handle = put(&mut found, 0, &second).expect("there is room");
            assert_eq!(get(&mut found, 0, handle).as_ref(), Ok(&second));
        }
    }
}

#[test]
fn what_has_rotted_is_not_handed_out_and_can_be_stored_anew() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let content = content(1, 3);
    let handle = put(&mut vault, 0, &content).expect("there is room");
    for (file, _) in disk.files() {
        disk.rot(&file, 70);
        assert_eq!(get(&mut vault, 0, handle), Err(BlobError::Unknown), "{file}");
        assert_eq!(put(&mut vault, 0, &content), Ok(handle));
        assert_eq!(get(&mut vault, 0, handle).as_ref(), Ok(&content));
    }
}

#[test]
fn a_look_at_everything_finds_each_file_that_is_damaged_and_each_blob_that_suffers() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let whole = put(&mut vault, 0, &content(1, 3)).expect("there is room");
    put(&mut vault, 0, &content(2, 2)).expect("there is room");
    hear(&mut vault, 0, FIRST, Holding::Snapshot(roots(&[whole])));
    vault.save().expect("the disk works");
    let look = |disk: &MemoryDisk| {
        let mut blobs = DiskBlobs::open(disk.clone(), Durability::Process).expect("the disk works");
        let mut sound = 0;
        let found = teatime_blobs::check(&mut blobs, |_, _| {
            sound += 1;
            Ok(())
        });
        (found.expect("the disk works"), sound)
    };
    let (found, sound) = look(&disk);
    assert_eq!((found.usage, sound), (vault.usage(), 2 + 5 + 2));
    assert!(found.damaged.is_empty() && found.incomplete.is_empty());
    for (file, _) in disk.files() {
        let rotten = disk.crash(Crash::Process, 0);
        rotten.rot(&file, 20);
        let (found, sound) = look(&rotten);
        let [damaged] = &found.damaged[..] else { panic!("{file} is damaged: {found:?}") };
        assert!(file.contains(&damaged.id.to_string()), "{file}");
        assert_eq!(found.usage, vault.usage());
        let suffers = usize::from(file.ends_with("chunk"));
        assert_eq!((found.incomplete.len(), sound), (suffers, 8 - suffers), "{file}");
    }
}

const FIRST: SessionId = SessionId([1; 32]);
const SECOND: SessionId = SessionId([2; 32]);

fn roots(handles: &[BlobHandle]) -> Vec<Digest> {
    handles.iter().map(BlobHandle::root).collect()
}

fn hear(vault: &mut DiskVault, now: u64, session: SessionId, holding: Holding) {
    vault.hear(now, space().id(), session, holding).expect("the disk works");
}

fn awake(vault: &mut DiskVault, now: u64, session: SessionId) {
    hear(vault, now, session, Holding::Awake(vec![]));
}

fn refers(vault: &mut DiskVault, now: u64, session: SessionId, handles: &[BlobHandle]) {
    hear(vault, now, session, Holding::Snapshot(roots(handles)));
}

/// How many blobs go.
fn collected(vault: &mut DiskVault, now: u64) -> usize {
    vault.collect(now).expect("the disk works").blobs
}

fn stored(vault: &mut DiskVault, now: u64, seed: u8) -> BlobHandle {
    put(vault, now, &content(seed, 2)).expect("there is room")
}

#[test]
fn in_a_room_that_nobody_has_entered_a_blob_stays_for_a_week() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    stored(&mut vault, 0, 1);
    assert_eq!(collected(&mut vault, 7 * GRACE - 1), 0);
    // Somebody comes, and leaves without a trace: nothing is known of the session.
    awake(&mut vault, 7 * GRACE, FIRST);
    hear(&mut vault, 7 * GRACE, FIRST, Holding::AtRest);
    assert_eq!(collected(&mut vault, 70 * GRACE), 0);
    hear(&mut vault, 70 * GRACE, FIRST, Holding::Gone);
    assert_eq!(collected(&mut vault, 70 * GRACE), 1);
    assert!(disk.files().is_empty());
}

#[test]
fn a_blob_goes_when_a_state_of_a_grace_after_it_was_last_needed_does_not_refer_to_it() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let [kept, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    // As long as there is no snapshot, nothing goes.
    assert_eq!(collected(&mut vault, 10 * GRACE), 0);
    refers(&mut vault, 10 * GRACE, FIRST, &[kept, other]);
    refers(&mut vault, 11 * GRACE, FIRST, &[kept]);
    // It may be back in the state, with an event after this snapshot, or after the next.
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    refers(&mut vault, 12 * GRACE - 1, FIRST, &[kept]);
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    refers(&mut vault, 12 * GRACE, FIRST, &[kept]);
    let gone = vault.collect(12 * GRACE).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 2));
    assert_eq!(get(&mut vault, 12 * GRACE, other), Err(BlobError::Unknown));
    assert!(get(&mut vault, 12 * GRACE, kept).is_ok());
}

#[test]
fn what_an_undo_brings_back_is_still_there() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let photo = stored(&mut vault, 0, 1);
    refers(&mut vault, GRACE, FIRST, &[photo]);
    refers(&mut vault, 5 * GRACE, FIRST, &[]);
    // Soon after an event brings it back; the next snapshot comes late.
    for time in [5 * GRACE, 6 * GRACE, 50 * GRACE] {
        assert_eq!(collected(&mut vault, time), 0);
    }
    refers(&mut vault, 50 * GRACE, FIRST, &[photo]);
    assert_eq!(collected(&mut vault, 51 * GRACE), 0);
}

#[test]
fn a_session_without_a_snapshot_keeps_what_others_do_not_need() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    // Two versions of an app in one room: the log of the first has a photo, and is small.
    awake(&mut vault, 0, FIRST);
    awake(&mut vault, 0, SECOND);
    let [photo, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    refers(&mut vault, 1, SECOND, &[other]);
    refers(&mut vault, 2 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 2 * GRACE), 0);
    // Also when nobody is in it any more, and by the next start, after a power cut or not.
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
    // What came after somebody was in it for the last time goes without it.
    let later = stored(&mut vault, 5 * GRACE, 3);
    refers(&mut vault, 6 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 6 * GRACE), 1);
    assert_eq!(get(&mut vault, 6 * GRACE, later), Err(BlobError::Unknown));
    // Once it has a snapshot, it keeps what stands there.
    awake(&mut vault, 7 * GRACE, FIRST);
    refers(&mut vault, 7 * GRACE, FIRST, &[]);
    refers(&mut vault, 7 * GRACE, SECOND, &[other]);
    assert_eq!(collected(&mut vault, 7 * GRACE), 1);
    assert!(get(&mut vault, 7 * GRACE, other).is_ok());
}

#[test]
fn a_reflector_that_is_started_anew_every_day_removes_what_nobody_needs() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    awake(&mut vault, 0, FIRST);
    let [kept, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    refers(&mut vault, 0, FIRST, &[kept, other]);
    refers(&mut vault, 0, FIRST, &[kept]);
    // A part of a blob that is never finished.
    let id = vault.put(1, space().id(), b"a chunk").expect("there is room");
    vault.save().expect("the disk works");
    let half = GRACE / 2;
    let mut again = open_at(&disk.crash(Crash::Process, 0), half);
    awake(&mut again, half, FIRST);
    hear(&mut again, half, FIRST, Holding::AtRest);
    assert_eq!(again.collect(GRACE - 1).expect("the disk works"), VaultUse::default());
    let mut again = open_at(&disk, GRACE);
    awake(&mut again, GRACE, FIRST);
    refers(&mut again, GRACE, FIRST, &[kept]);
    let gone = again.collect(GRACE + 1).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 3));
    assert_eq!(again.missing(GRACE, space().id(), vec![id]), [id]);
    assert!(get(&mut again, GRACE, kept).is_ok());
    // A state that refers to nothing is no unknown state.
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
fn what_is_used_stays_and_so_does_what_blobs_share() {
    let mut vault = open(&MemoryDisk::default());
    awake(&mut vault, 0, FIRST);
    let mut shared = content(1, 3);
    let first = put(&mut vault, 0, &shared).expect("there is room");
    *shared.last_mut().expect("it has some") ^= 1;
    let second = put(&mut vault, 0, &shared).expect("there is room");
    assert_eq!(vault.usage().chunks, 4);
    // It has just been fetched, or stored once more: an event may be on its way that makes a state refer to it.
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
fn what_is_persisted_keeps_blobs_until_it_is_replaced() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let [kept, other] = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    hear(&mut vault, 0, FIRST, Holding::Exactly(roots(&[kept, other])));
    hear(&mut vault, GRACE, FIRST, Holding::Exactly(roots(&[kept])));
    vault.save().expect("the disk works");
    let mut vault = open_at(&disk, GRACE);
    assert_eq!(collected(&mut vault, 2 * GRACE - 1), 0);
    assert_eq!(collected(&mut vault, 2 * GRACE), 1);
    assert_eq!(collected(&mut vault, 90 * GRACE), 0);
    assert!(get(&mut vault, 90 * GRACE, kept).is_ok());
}

#[test]
fn what_was_never_finished_goes_after_a_grace() {
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
fn nothing_goes_while_it_is_not_known_any_more_what_a_session_refers_to() {
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
fn what_only_removed_sessions_referred_to_goes() {
    let mut vault = open(&MemoryDisk::default());
    let sessions = [FIRST, SECOND];
    sessions.into_iter().for_each(|session| awake(&mut vault, 0, session));
    let handles = [1, 2].map(|seed| stored(&mut vault, 0, seed));
    for (session, handle) in sessions.into_iter().zip(handles) {
        refers(&mut vault, 0, session, &[handle]);
    }
    // It may not be stored yet.
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
fn a_blob_of_which_a_chunk_is_missing_is_not_removed_and_whole_again_when_it_is_back() {
    let disk = MemoryDisk::default();
    let handle = put(&mut open(&disk), 0, &content(1, 3)).expect("there is room");
    let chunk = disk.files().into_iter().find(|(file, _)| file.ends_with(".chunk"));
    let (chunk, bytes) = chunk.expect("there are three");
    disk.take_away(&chunk);
    let mut found = open(&disk);
    assert_eq!((found.incomplete(), found.usage().blobs), (1, 0));
    assert_eq!(get(&mut found, 0, handle), Err(BlobError::Unknown));
    disk.put(&chunk, bytes);
    let mut found = open(&disk);
    assert_eq!(get(&mut found, 0, handle), Ok(content(1, 3)));
    // It can be stored anew, too, and counts once.
    let before = found.usage();
    disk.take_away(&chunk);
    let mut found = open(&disk);
    assert_eq!(put(&mut found, 0, &content(1, 3)), Ok(handle));
    assert_eq!((found.incomplete(), found.usage()), (0, before));
}

#[test]
fn what_a_power_cut_has_emptied_or_changed_is_found_out_before_a_blob_is_said_to_be_complete() {
    type Harm = fn(&MemoryDisk, &str);
    let harms: [Harm; 3] = [
        |disk, file| disk.put(file, Vec::new()),
        |disk, file| disk.rot(file, 50),
        |disk, file| {
            let files = disk.files().into_iter();
            let mut bytes = files.filter(|(name, _)| name == file).map(|(_, bytes)| bytes);
            let half = bytes.next().map(|bytes| bytes[..bytes.len() / 2].to_vec());
            disk.put(file, half.expect("it is there"));
        },
    ];
    for harm in harms {
        let disk = MemoryDisk::default();
        let handle = put(&mut open(&disk), 0, &content(1, 3)).expect("there is room");
        let files = disk.files();
        for (file, _) in files.iter().filter(|(file, _)| !file.ends_with(".used")) {
            harm(&disk, file);
            let mut again = open(&disk);
            assert_eq!(put(&mut again, 0, &content(1, 3)), Ok(handle), "{file}");
            assert_eq!(get(&mut again, 0, handle), Ok(content(1, 3)), "{file}");
        }
    }
}

#[test]
fn some_of_the_disk_is_left_to_others() {
    let disk = MemoryDisk::default();
    let reserve = 1_000_000;
    let limits = VaultLimits { reserve, ..VaultLimits::ON_DISK };
    let blobs = DiskBlobs::open(disk.clone(), Durability::Power).expect("the disk works");
    let mut vault = Vault::open(blobs, limits, 0).expect("the disk works");
    disk.set_capacity(Some(reserve + 3 * BLOB_CHUNK as u64));
    put(&mut vault, 0, &content(1, 2)).expect("there is room");
    let room = vault.limits_for(space().id()).room;
    assert!(room < BLOB_CHUNK as u64, "{room}");
    let bytes = vec![1; BLOB_CHUNK];
    assert_eq!(vault.put(0, space().id(), &bytes), Err(teatime_wire::Refused::DiskFull));
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(used as u64 <= 3 * BLOB_CHUNK as u64);
}

#[test]
fn what_a_session_refers_to_is_known_also_if_it_could_not_be_written_and_written_once_it_can() {
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
    let needs = Holding::Snapshot(roots(&[photo]));
    vault.hear(GRACE, space().id(), FIRST, needs).expect_err("it cannot be written");
    assert_eq!(list(&disk), before);
    // Nothing that it refers to goes, although the list on the disk does not have it.
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
