//! Takes out of a store that is refused what can be read of it.

use std::path::Path;

use teatime_blobs::VaultCheck;
use teatime_reflector::RecordKind;

use crate::blobs::{self, DiskBlobs};
use crate::catalog::{Catalog, Segment};
use crate::disk::{Disk, DiskFile};
use crate::format::StoreId;
use crate::real::RealDisk;
use crate::segment::{self, Header};
use crate::storage::{SessionId, Stored};
use crate::store::{DiskStore, Store};
use crate::survey::{Survey, read_format, segments};
use crate::{Config, Durability, Error, scan, tools};

/// What became of a session.
#[derive(Debug)]
pub enum Salvaged {
    /// It is whole, as far as can be told: what may be missing is what came last.
    Whole(SessionId),
    /// It is whole up to this sequence number; some records after it were there, but not the next.
    UpTo(SessionId, u64),
    /// It cannot be read.
    Lost(SessionId, Error),
}

/// What [`salvage`] found.
#[derive(Debug, Default)]
pub struct Salvage {
    /// In the order of their names.
    pub sessions: Vec<Salvaged>,
    /// How many others there were of which not even the name can be read.
    pub nameless: usize,
    /// What is damaged, as far as it is in the log.
    pub damages: Vec<Error>,
    /// The blobs: all that is not damaged was copied.
    pub blobs: VaultCheck,
}

/// Writes every session of a damaged store that nobody has open into a new one. Of each it takes the
/// checkpoint, and the records after it as far as no ordered message is missing; a commit that is
/// damaged counts as missing, and what it removed as still there. Blobs come along, but for damaged files of
/// theirs. The damaged store stays as it is.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`] and what the disk says, of either; [`Error::SessionExists`] if
/// there is something in the other already; [`Error::Corrupt`] if not even the id of the store can be read.
pub fn salvage(dir: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Salvage, Error> {
    let disk = tools::lock(dir.as_ref())?;
    let mut target = DiskStore::open_dir(into.as_ref(), Config::default())?;
    if let Some((session, _)) = target.catalog.numbers.iter().next() {
        tracing::warn!(?session, "there is something in the store already");
        return Err(Error::SessionExists);
    }
    target.begin_era()?;
    let (source, mut found) = read_damaged(disk)?;
    let mut ids: Vec<SessionId> = source.catalog.numbers.keys().copied().collect();
    ids.sort_unstable();
    for id in ids {
        let stored = match source.load_session(&id) {
            Ok(stored) => stored,
            Err(error @ Error::Corrupt { .. }) => {
                found.sessions.push(Salvaged::Lost(id, error));
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(mut stored) = stored else { continue };
        let gap = cut_at_gap(&mut stored);
        target.insert(&id, &stored)?;
        found.sessions.push(gap.map_or(Salvaged::Whole(id), |seq| Salvaged::UpTo(id, seq)));
    }
    let mut copies = DiskBlobs::open_dir(into.as_ref(), Durability::Power)?;
    found.blobs = blobs::check(RealDisk::new(dir.as_ref()), Some(&mut copies))?;
    Ok(found)
}

/// Leaves out everything after a gap in the numbers of ordered messages. Returns the last one before it.
fn cut_at_gap(stored: &mut Stored) -> Option<u64> {
    let mut newest = stored.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
    for (at, record) in stored.records.iter().enumerate() {
        // The others have the number of the message before them.
        let is_ordered = record.kind == RecordKind::Ordered as u8;
        if record.seq > newest + u64::from(is_ordered) || (is_ordered && record.seq <= newest) {
            stored.records.truncate(at);
            return Some(newest);
        }
        newest = record.seq.max(newest);
    }
    None
}

/// A store to read from, with all that is right of its log.
fn read_damaged(disk: RealDisk) -> Result<(Store<RealDisk>, Salvage), Error> {
    let mut found = Salvage::default();
    let numbers = segments(&disk)?;
    let newest = *numbers.last().ok_or(Error::NoStore)?;
    let mut files = Vec::new();
    for number in numbers {
        let file = disk.open(&segment::name(number))?;
        files.push((number, file.read(0, file.len()?)?));
    }
    let id = id_of(&disk, &files, &mut found.damages)?;
    let mut catalog = Catalog::default();
    for (number, bytes) in &files {
        read_segment(id, *number, bytes, &mut catalog, &mut found.damages);
    }
    found.nameless = catalog.sessions.values().filter(|session| session.begin.is_none()).count();
    let file = disk.open(&segment::name(newest))?;
    let (old_segments, old_checkpoints) = (Vec::new(), Vec::new());
    let (torn, unbegun, end) = (None, None, 0);
    let survey = Survey { id, catalog, newest, end, torn, unbegun, old_segments, old_checkpoints };
    Ok((Store::of(disk, Config::default(), survey, file)?, found))
}

/// From its description, or from the first segment that knows it.
fn id_of(
    disk: &RealDisk,
    files: &[(u64, Vec<u8>)],
    damages: &mut Vec<Error>,
) -> Result<StoreId, Error> {
    let problem = match read_format(disk) {
        Ok(Some(id)) => return Ok(id),
        Ok(None) => Error::corrupt(crate::format::FILE, 0, "it is missing, but there is a log"),
        Err(problem @ Error::Corrupt { .. }) => problem,
        Err(error) => return Err(error),
    };
    match files.iter().find_map(|(number, bytes)| Header::store(*number, bytes)) {
        Some(id) => {
            damages.push(problem);
            Ok(id)
        }
        None => Err(problem),
    }
}

/// Tells the catalog every commit that is complete and right.
fn read_segment(
    id: StoreId,
    number: u64,
    bytes: &[u8],
    catalog: &mut Catalog,
    damages: &mut Vec<Error>,
) {
    let name = segment::name(number);
    if let Err(what) = Header::decode(id, number, bytes) {
        damages.push(Error::corrupt(&name, 0, what));
    }
    catalog.segments.insert(number, Segment { length: bytes.len() as u64, live: 0 });
    let segment = scan::Segment { salt: id.salt(), number, bytes };
    let mut from = segment::HEADER;
    while let Err(stop) = segment.read_from(from, &mut |entry, at| catalog.apply(entry, at)) {
        damages.push(Error::corrupt(&name, stop.damage.offset, &stop.damage.what));
        match segment.next_commit(stop.cut as usize + 1) {
            Some(next) => from = next,
            None => return,
        }
    }
}
