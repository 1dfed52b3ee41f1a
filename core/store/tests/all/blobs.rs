//! Blobs on a disk that fills up, fails, decays and loses power.

use teatime_blobs::limits::BLOB_CHUNK;
use teatime_blobs::{BlobError, Vault, VaultLimits};
use teatime_store::{Crash, DiskBlobs, Durability, MemoryDisk, RealDisk};
use teatime_wire::Holding;

use crate::common::vault::{FIRST, content, get, hear, open, put, roots, space};

#[test]
fn blobs_outlive_their_server() {
    let directory = tempfile::tempdir().expect("there is space");
    let open = || {
        let disk = RealDisk::new(directory.path());
        let blobs = DiskBlobs::open(disk, Durability::Process).expect("the disk works");
        Vault::open(blobs, VaultLimits::ON_DISK, 0).expect("the disk works")
    };
    let content = content(1, 4);
    let handle = put(&mut open(), 0, &content).expect("there is space");
    let mut again = open();
    assert_eq!(get(&mut again, 0, handle), Ok(content));
    assert_eq!((again.usage().blobs, again.usage().chunks), (1, 4));
}

#[test]
fn a_full_disk_is_reported_and_loses_nothing() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let first = content(1, 4);
    let handle = put(&mut vault, 0, &first).expect("there is space");
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    // The disk gets full in the first chunk, in a later one, in the manifest.
    let second = content(2, 4);
    for room in [100, 2 * BLOB_CHUNK + 100, second.len() + 100] {
        disk.set_capacity(Some((used + room) as u64));
        assert_eq!(put(&mut vault, 0, &second), Err(BlobError::ServerDiskFull), "{room}");
        assert_eq!(get(&mut vault, 0, handle).as_ref(), Ok(&first));
        // The beginning of a chunk takes no space.
        assert!(disk.files().iter().all(|(file, _)| !file.contains("unfinished")));
    }
    // Once the disk has space, it goes on.
    disk.set_capacity(None);
    let handle = put(&mut vault, 0, &second).expect("there is space");
    assert_eq!(get(&mut open(&disk), 0, handle), Ok(second));
}

#[test]
fn a_failing_disk_is_reported() {
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
fn a_blob_that_was_acknowledged_survives_a_crash_at_any_moment() {
    let (first, second) = (content(1, 2), content(2, 2));
    for operations in 0..24 {
        let disk = MemoryDisk::default();
        let mut vault = open(&disk);
        let acknowledged = put(&mut vault, 0, &first).expect("there is space");
        disk.die_after(operations);
        let later = put(&mut vault, 0, &second);
        for seed in 0..8 {
            let mut found = open(&disk.crash(Crash::Power, seed));
            assert_eq!(get(&mut found, 0, acknowledged).as_ref(), Ok(&first));
            if let Ok(later) = later {
                assert_eq!(get(&mut found, 0, later).as_ref(), Ok(&second));
            }
            // What is left of an upload helps the next one.
            let handle = put(&mut found, 0, &second).expect("there is space");
            assert_eq!(get(&mut found, 0, handle).as_ref(), Ok(&second));
        }
    }
}

#[test]
fn a_damaged_blob_is_not_handed_out_and_can_be_stored_again() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let content = content(1, 3);
    let handle = put(&mut vault, 0, &content).expect("there is space");
    for (file, _) in disk.files() {
        disk.rot(&file, 70);
        assert_eq!(get(&mut vault, 0, handle), Err(BlobError::Unknown), "{file}");
        assert_eq!(put(&mut vault, 0, &content), Ok(handle));
        assert_eq!(get(&mut vault, 0, handle).as_ref(), Ok(&content));
    }
}

#[test]
fn a_check_finds_every_damaged_file_and_every_blob_that_needs_it() {
    let disk = MemoryDisk::default();
    let mut vault = open(&disk);
    let whole = put(&mut vault, 0, &content(1, 3)).expect("there is space");
    put(&mut vault, 0, &content(2, 2)).expect("there is space");
    hear(&mut vault, 0, FIRST, Holding::Snapshot(roots(&[whole]), 0));
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

#[test]
fn a_blob_without_one_of_its_chunks_is_not_removed_and_whole_again_when_the_chunk_is_back() {
    let disk = MemoryDisk::default();
    let handle = put(&mut open(&disk), 0, &content(1, 3)).expect("there is space");
    let chunk = disk.files().into_iter().find(|(file, _)| file.ends_with(".chunk"));
    let (chunk, bytes) = chunk.expect("there are three");
    disk.take_away(&chunk);
    let mut found = open(&disk);
    assert_eq!((found.incomplete(), found.usage().blobs), (1, 0));
    assert_eq!(get(&mut found, 0, handle), Err(BlobError::Unknown));
    disk.put(&chunk, bytes);
    let mut found = open(&disk);
    assert_eq!(get(&mut found, 0, handle), Ok(content(1, 3)));
    // It can be stored again too, and counts once.
    let before = found.usage();
    disk.take_away(&chunk);
    let mut found = open(&disk);
    assert_eq!(put(&mut found, 0, &content(1, 3)), Ok(handle));
    assert_eq!((found.incomplete(), found.usage()), (0, before));
}

#[test]
fn files_that_a_power_cut_damaged_are_found_before_a_blob_is_acknowledged() {
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
        let handle = put(&mut open(&disk), 0, &content(1, 3)).expect("there is space");
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
fn blobs_leave_some_of_the_disk_to_others() {
    let disk = MemoryDisk::default();
    let reserve = 1_000_000;
    let limits = VaultLimits { reserve, ..VaultLimits::ON_DISK };
    let blobs = DiskBlobs::open(disk.clone(), Durability::Power).expect("the disk works");
    let mut vault = Vault::open(blobs, limits, 0).expect("the disk works");
    disk.set_capacity(Some(reserve + 3 * BLOB_CHUNK as u64));
    put(&mut vault, 0, &content(1, 2)).expect("there is space");
    let room = vault.limits_for(space().id()).room;
    assert!(room < BLOB_CHUNK as u64, "{room}");
    let bytes = vec![1; BLOB_CHUNK];
    assert_eq!(vault.put(0, space().id(), &bytes), Err(teatime_wire::Refused::DiskFull));
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(used as u64 <= 3 * BLOB_CHUNK as u64);
}
