//! The files of a reflector's store: a crash, a disk or a person may have changed them.

use teatime_store::{Config, Durability, Error, Key, MemoryDisk, MemoryStore};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::tape::Tape;

/// The id of the store. Its first bytes are in the checksums.
pub(crate) const STORE: [u8; 16] = [0xa5; 16];

const SALT: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// What the first byte of an input asks for: sums that are right, and segments that belong together. So more is read than
/// the checksums.
const SUMS: u8 = 1;
const CHAINED: u8 = 2;

/// What a step of an input adds: a segment, or another file.
pub(crate) const SEGMENT: u8 = 0;
pub(crate) const FILE: u8 = 1;

/// A store is refused, and stays as it is, or it can be opened, changed and opened again with the same content.
pub(crate) fn run(bytes: &[u8]) {
    let disk = disk(bytes);
    let before = disk.files();
    match MemoryStore::open(disk.clone(), config()) {
        Ok(store) => go_on(&disk, store),
        Err(Error::Corrupt { .. } | Error::OtherFormat { .. }) => {
            assert_eq!(disk.files(), before, "a refused store has changed");
        }
        Err(error) => panic!("the disk has not failed: {error}"),
    }
}

pub(crate) fn config() -> Config {
    // Small segments, so that there are several.
    Config { durability: Durability::Process, segment_bytes: 512, ..Config::default() }
}

fn disk(bytes: &[u8]) -> MemoryDisk {
    let mut tape = Tape::new(bytes);
    let how = tape.step().unwrap_or_default();
    let disk = MemoryDisk::default();
    disk.put("FORMAT", format());
    let (mut number, mut previous) = (0, 0);
    while let Some(step) = tape.step() {
        if step & 1 == SEGMENT {
            number += 1;
            let mut segment = tape.piece().to_vec();
            if how & CHAINED > 0 {
                chain(&mut segment, number, previous);
            }
            if how & SUMS > 0 {
                sum(&mut segment, number);
            }
            previous = segment.len() as u64;
            disk.put(&format!("log/{number:010}.seg"), segment);
        } else {
            let name = String::from_utf8_lossy(tape.piece()).into_owned();
            disk.put(&format!("checkpoints/{name}"), tape.piece().to_vec());
        }
    }
    disk
}

fn format() -> Vec<u8> {
    let id = u128::from_be_bytes(STORE);
    let covered = format!("teatime-store 4\nid {id:032x}\n");
    let sum = xxh3_64_with_seed(covered.as_bytes(), 0);
    format!("{covered}checksum {sum:016x}\n").into_bytes()
}

/// Bytes of the header of a segment, of a commit, and of an entry.
const SEGMENT_HEADER: usize = 68;
const COMMIT_HEADER: usize = 20;
const ENTRY_HEADER: usize = 38;

/// Makes the header of a segment name its number, its store, and the length of the segment before.
fn chain(segment: &mut [u8], number: u64, previous: u64) {
    let Some(header) = segment.get_mut(..SEGMENT_HEADER) else { return };
    header[12..28].copy_from_slice(&STORE);
    header[28..36].copy_from_slice(&number.to_le_bytes());
    header[44..52].copy_from_slice(&previous.to_le_bytes());
}

/// Makes the sums of a segment right, as far as it is one.
pub(crate) fn sum(segment: &mut [u8], number: u64) {
    let Some(header) = segment.get_mut(..SEGMENT_HEADER) else { return };
    let sum = xxh3_64_with_seed(&header[..60], 0);
    header[60..].copy_from_slice(&sum.to_le_bytes());
    let mut at = SEGMENT_HEADER;
    while let Some(header) = segment.get_mut(at..at + COMMIT_HEADER) {
        let mut covered = header[..12].to_vec();
        covered.extend(number.to_le_bytes());
        covered.extend((at as u64).to_le_bytes());
        header[12..].copy_from_slice(&xxh3_64_with_seed(&covered, SALT).to_le_bytes());
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let start = at + COMMIT_HEADER;
        at = start + length;
        let end = at.min(segment.len());
        sum_entries(&mut segment[start..end]);
    }
}

fn sum_entries(mut entries: &mut [u8]) {
    while let Some(header) = entries.get(..ENTRY_HEADER) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some(entry) = entries.split_off_mut(..ENTRY_HEADER + length) else { return };
        let sum = xxh3_64_with_seed(&entry[8..], SALT);
        entry[..8].copy_from_slice(&sum.to_le_bytes());
    }
}

/// What can be read of each key. Something else than its log may be damaged.
fn content(store: &MemoryStore) -> Vec<(Key, Option<String>)> {
    let mut keys: Vec<_> = store.infos().iter().map(|info| info.key).collect();
    keys.sort_unstable();
    let read = |key: Key| match store.load(key) {
        Ok(stored) => Some(format!("{:?}", stored.expect("it has the key"))),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => panic!("the disk has not failed: {error}"),
    };
    keys.into_iter().map(|key| (key, read(key))).collect()
}

fn go_on(disk: &MemoryDisk, store: MemoryStore) {
    let found = content(&store);
    drop(store);
    let mut store = MemoryStore::open(disk.clone(), config()).expect("it was mended");
    assert_eq!(content(&store), found, "what was mended has another content");
    for info in store.infos() {
        // Numbers may have come to their end, and a room has no records.
        let record = teatime_reflector::storage::RecordKind::Ordered;
        let _ = store.append(info.key, info.newest.saturating_add(1), record, b"more");
    }
    store.commit().expect("the disk has not failed");
    let after = content(&store);
    drop(store);
    let store = MemoryStore::open(disk.clone(), config()).expect("it was written by a store");
    assert_eq!(content(&store), after);
}
