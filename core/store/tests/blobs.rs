//! Blobs on a disk that fills up, fails, rots, and loses power; and which of them stay.

use std::collections::HashSet;
use std::sync::Arc;

use teatime_data::limits::DATA_CHUNK;
use teatime_data::{
    BlobHandle, DataError, Download, Serving, Space, Upload, Vault, VaultLimits, VaultUse,
};
use teatime_store::{Crash, DiskBlobs, Durability, MemoryDisk, RealDisk};
use teatime_wire::{Digest, SessionId};

type DiskVault = Vault<DiskBlobs<MemoryDisk>>;

const GRACE: u64 = VaultLimits::ON_DISK.grace;

fn open(disk: &MemoryDisk) -> DiskVault {
    let blobs = DiskBlobs::open(disk.clone(), Durability::Power).expect("the disk works");
    Vault::open(blobs, VaultLimits::ON_DISK, 0).expect("the disk works")
}

fn space() -> Arc<Space> {
    Arc::new(Space::new("org.example", "room", None))
}

fn content(seed: u8, chunks: usize) -> Vec<u8> {
    (0..chunks * DATA_CHUNK - 9).map(|at| (at / 5 + at / DATA_CHUNK) as u8 ^ seed).collect()
}

fn put<F: teatime_data::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    content: &[u8],
) -> Result<BlobHandle, DataError> {
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

fn get<F: teatime_data::ChunkFiles>(
    vault: &mut Vault<F>,
    now: u64,
    handle: BlobHandle,
) -> Result<Vec<u8>, DataError> {
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
    for room in [100, 2 * DATA_CHUNK + 100, second.len() + 100] {
        disk.set_capacity(Some((used + room) as u64));
        assert_eq!(put(&mut vault, 0, &second), Err(DataError::ServerDiskFull), "{room}");
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
    assert_eq!(put(&mut vault, 0, &content(1, 2)), Err(DataError::ServerFailed));
    disk.set_read_only(false);
    disk.fail_next_sync();
    assert_eq!(put(&mut vault, 0, &content(1, 2)), Err(DataError::ServerFailed));
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
        assert_eq!(get(&mut vault, 0, handle), Err(DataError::Unknown), "{file}");
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
    vault.refer(0, space().id(), FIRST, roots(&[whole])).expect("the disk works");
    let look = |disk: &MemoryDisk| {
        let mut blobs = DiskBlobs::open(disk.clone(), Durability::Process).expect("the disk works");
        let mut sound = 0;
        let found = teatime_data::check(&mut blobs, |_, _| {
            sound += 1;
            Ok(())
        });
        (found.expect("the disk works"), sound)
    };
    let (found, sound) = look(&disk);
    assert_eq!((found.usage, sound), (vault.usage(), 2 + 5 + 1));
    assert!(found.damaged.is_empty() && found.incomplete.is_empty());
    for (file, _) in disk.files() {
        let rotten = disk.crash(Crash::Process, 0);
        rotten.rot(&file, 20);
        let (found, sound) = look(&rotten);
        let [damaged] = &found.damaged[..] else { panic!("{file} is damaged: {found:?}") };
        assert!(file.contains(&damaged.id.to_string()), "{file}");
        let suffers = usize::from(file.ends_with("chunk"));
        assert_eq!((found.incomplete.len(), sound), (suffers, 7 - suffers), "{file}");
    }
}

const FIRST: SessionId = SessionId([1; 32]);
const SECOND: SessionId = SessionId([2; 32]);

fn roots(handles: &[BlobHandle]) -> HashSet<Digest> {
    handles.iter().map(BlobHandle::root).collect()
}

#[test]
fn a_blob_goes_a_grace_after_states_ceased_to_refer_to_it_and_not_before() {
    let mut vault = open(&MemoryDisk::default());
    let space = space().id();
    let kept = put(&mut vault, 0, &content(1, 3)).expect("there is room");
    let other = put(&mut vault, 0, &content(2, 3)).expect("there is room");
    // As long as no state was heard of, nothing goes.
    assert_eq!(vault.collect(10 * GRACE).expect("the disk works"), VaultUse::default());
    vault.refer(10 * GRACE, space, FIRST, roots(&[kept, other])).expect("the disk works");
    vault.refer(11 * GRACE, space, FIRST, roots(&[kept])).expect("the disk works");
    assert_eq!(vault.collect(12 * GRACE - 1).expect("the disk works"), VaultUse::default());
    let gone = vault.collect(12 * GRACE).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 3));
    assert_eq!(get(&mut vault, 12 * GRACE, other), Err(DataError::Unknown));
    assert!(get(&mut vault, 12 * GRACE, kept).is_ok());
}

#[test]
fn what_is_used_or_referred_to_again_stays_and_so_does_what_blobs_share() {
    let mut vault = open(&MemoryDisk::default());
    let space = space().id();
    let mut shared = content(1, 3);
    let first = put(&mut vault, 0, &shared).expect("there is room");
    *shared.last_mut().expect("it has some") ^= 1;
    let second = put(&mut vault, 0, &shared).expect("there is room");
    assert_eq!(vault.usage().chunks, 4);
    vault.refer(1, space, FIRST, roots(&[])).expect("the disk works");
    // Another session of the room, such as one of the next version, refers to one of them.
    vault.refer(2, space, SECOND, roots(&[second])).expect("the disk works");
    // It has just been fetched: an event may be on its way that makes a state refer to it. The same if it is
    // stored once more.
    get(&mut vault, GRACE, first).expect("it is there");
    assert_eq!(vault.collect(2 * GRACE - 1).expect("the disk works"), VaultUse::default());
    assert_eq!(put(&mut vault, 2 * GRACE - 1, &content(1, 3)), Ok(first));
    assert_eq!(vault.collect(3 * GRACE - 2).expect("the disk works"), VaultUse::default());
    let gone = vault.collect(3 * GRACE - 1).expect("the disk works");
    assert_eq!((gone.blobs, gone.chunks), (1, 1));
    assert_eq!(get(&mut vault, 3 * GRACE, second), Ok(shared));
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
fn to_what_sessions_refer_is_remembered_and_nothing_goes_while_it_is_unclear() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let space = space().id();
    let handle = put(&mut vault, 0, &content(1, 2)).expect("there is room");
    // A session of the version before refers to it; nobody has been in it since the server was started.
    vault.refer(0, space, FIRST, roots(&[handle])).expect("the disk works");
    let mut again = open(&disk);
    again.refer(0, space, SECOND, roots(&[])).expect("the disk works");
    assert_eq!(again.collect(GRACE).expect("the disk works"), VaultUse::default());
    let refs = disk.files().into_iter().find(|(file, _)| file.ends_with(".refs"));
    disk.rot(&refs.expect("there is one").0, 3);
    let mut rotten = open(&disk);
    rotten.refer(0, space, SECOND, roots(&[])).expect("the disk works");
    assert_eq!(rotten.collect(GRACE).expect("the disk works"), VaultUse::default());
    rotten.refer(0, space, FIRST, roots(&[])).expect("the disk works");
    assert_eq!(rotten.collect(GRACE).expect("the disk works").blobs, 1);
    assert!(disk.files().is_empty());
}

#[test]
fn what_only_removed_sessions_referred_to_goes() {
    let mut vault = open(&MemoryDisk::default());
    let space = space().id();
    let handles = [1, 2].map(|seed| put(&mut vault, 0, &content(seed, 2)).expect("there is room"));
    vault.refer(0, space, FIRST, roots(&handles[..1])).expect("the disk works");
    vault.refer(0, space, SECOND, roots(&handles[1..])).expect("the disk works");
    vault.keep_sessions(1, &[FIRST].into()).expect("the disk works");
    assert_eq!(vault.collect(GRACE).expect("the disk works"), VaultUse::default());
    assert_eq!(vault.collect(GRACE + 1).expect("the disk works").blobs, 1);
    assert!(get(&mut vault, GRACE, handles[0]).is_ok());
}
