//! Reads a store without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::Error;
use crate::catalog::{Catalog, Segment};
use crate::checkpoint;
use crate::disk::{Disk, DiskFile};
use crate::format::{self, StoreId};
use crate::scan::{self, Damage};
use crate::segment::{self, Header};

/// What is there.
pub(crate) struct Survey {
    pub(crate) id: StoreId,
    pub(crate) catalog: Catalog,
    /// The newest segment.
    pub(crate) newest: u64,
    /// Where the newest segment ends, as far as it counts.
    pub(crate) end: u64,
    /// What is behind that.
    pub(crate) torn: Option<Damage>,
    /// A segment that was never begun completely.
    pub(crate) unbegun: Option<String>,
    /// Segments that nothing needs, the oldest first.
    pub(crate) old_segments: Vec<String>,
    /// Checkpoints that nothing needs.
    pub(crate) old_checkpoints: Vec<String>,
}

/// Reads the whole log, and looks whether the checkpoints are there.
pub(crate) fn survey<D: Disk>(disk: &D) -> Result<Survey, Error> {
    let mut survey = read_log(disk)?;
    survey.check_checkpoints(disk)?;
    Ok(survey)
}

/// Reads the whole log.
pub(crate) fn read_log<D: Disk>(disk: &D) -> Result<Survey, Error> {
    let id = read_format(disk)?.ok_or(Error::NoStore)?;
    let mut numbers = segments(disk)?;
    let unbegun = unbegun(disk, id, &mut numbers)?;
    let newest = *numbers.last().ok_or_else(|| missing(1))?;
    let mut survey = Survey {
        id,
        catalog: Catalog::default(),
        newest,
        end: 0,
        torn: None,
        unbegun,
        old_segments: Vec::new(),
        old_checkpoints: Vec::new(),
    };
    let mut before: Option<u64> = None;
    for number in &numbers {
        let expected = before.map_or(*number, |before| before + 1);
        if *number != expected {
            return Err(missing(expected));
        }
        survey.read_segment(disk, *number)?;
        before = Some(*number);
    }
    let oldest = *numbers.first().ok_or_else(|| missing(1))?;
    if oldest > survey.catalog.first {
        return Err(missing(survey.catalog.first));
    }
    let old = numbers.range(..survey.catalog.first).map(|number| segment::name(*number));
    survey.old_segments.extend(old);
    survey.catalog.segments = survey.catalog.segments.split_off(&survey.catalog.first);
    survey.check_sessions()?;
    // What was replaced or removed on the way here was deleted then, or is a leftover.
    survey.catalog.doomed.clear();
    Ok(survey)
}

/// The store that this disk has; nothing if it has none.
pub(crate) fn read_format<D: Disk>(disk: &D) -> Result<Option<StoreId>, Error> {
    match disk.open(format::FILE) {
        Ok(file) => format::decode(&file.read(0, file.len()?)?).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The numbers of all segments.
pub(crate) fn segments<D: Disk>(disk: &D) -> Result<BTreeSet<u64>, Error> {
    let files = list(disk, segment::FOLDER)?;
    Ok(files.iter().filter_map(|(name, _)| segment::number(name)).collect())
}

/// The files of a folder that may be missing.
fn list<D: Disk>(disk: &D, folder: &str) -> Result<Vec<(String, u64)>, Error> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        files => Ok(files?),
    }
}

/// Takes the newest segment out if a crash came while it was begun: it has no commit, and its
/// header is not right.
fn unbegun<D: Disk>(
    disk: &D,
    id: StoreId,
    numbers: &mut BTreeSet<u64>,
) -> Result<Option<String>, Error> {
    let Some(newest) = numbers.last().copied().filter(|_| numbers.len() > 1) else {
        return Ok(None);
    };
    let file = disk.open(&segment::name(newest))?;
    let length = file.len()?;
    if length > segment::HEADER as u64 {
        return Ok(None);
    }
    if Header::decode(id, newest, &file.read(0, length)?).is_ok() {
        return Ok(None);
    }
    numbers.remove(&newest);
    Ok(Some(segment::name(newest)))
}

fn missing(number: u64) -> Error {
    Error::corrupt(segment::name(number), 0, "the segment is missing")
}

impl Survey {
    fn read_segment<D: Disk>(&mut self, disk: &D, number: u64) -> Result<(), Error> {
        let name = segment::name(number);
        let file = disk.open(&name)?;
        let bytes = file.read(0, file.len()?)?;
        let header = Header::decode(self.id, number, &bytes)
            .map_err(|what| Error::corrupt(&name, 0, what))?;
        self.check_previous(&header)?;
        let length = bytes.len() as u64;
        let catalog = &mut self.catalog;
        catalog.first = catalog.first.max(header.first);
        catalog.next_index = catalog.next_index.max(header.next_index);
        catalog.segments.insert(number, Segment { length, live: 0 });
        let segment = scan::Segment { salt: self.id.salt(), number, bytes: &bytes };
        self.end = length;
        match segment.read(&mut |entry, at| catalog.apply(entry, at)) {
            Ok(()) => Ok(()),
            Err(stop) if number == self.newest && stop.last => {
                self.end = stop.cut;
                catalog.segments.entry(number).or_default().length = stop.cut;
                self.torn = Some(stop.damage);
                Ok(())
            }
            Err(stop) => Err(Error::corrupt(name, stop.damage.offset, stop.damage.what)),
        }
    }

    /// A segment that was followed by another has the length that it had then.
    fn check_previous(&self, header: &Header) -> Result<(), Error> {
        let previous = header.number - 1;
        match self.catalog.segments.get(&previous) {
            Some(segment) if segment.length != header.previous_length => {
                let at = segment.length.min(header.previous_length);
                let name = segment::name(previous);
                Err(Error::corrupt(name, at, "the segment has another length than it had"))
            }
            _ => Ok(()),
        }
    }

    /// Whatever lives belongs to a session that has begun.
    fn check_sessions(&self) -> Result<(), Error> {
        for session in self.catalog.sessions.values().filter(|session| session.begin.is_none()) {
            let row = session.rows.front().map(|row| row.at);
            let checkpoint = session.checkpoint.as_ref().map(|(_, at)| *at);
            let touched = session.touched.map(|(.., at)| at);
            if let Some(at) = row.or(checkpoint).or(touched) {
                let what = "an entry of a session that never began";
                return Err(Error::corrupt(segment::name(at.segment), at.offset, what));
            }
        }
        Ok(())
    }

    /// Every checkpoint that counts is there; all other files in its folder are leftovers.
    fn check_checkpoints<D: Disk>(&mut self, disk: &D) -> Result<(), Error> {
        let mut files: BTreeMap<String, u64> = list(disk, checkpoint::FOLDER)?
            .into_iter()
            .map(|(name, length)| (format!("{}/{name}", checkpoint::FOLDER), length))
            .collect();
        for session in self.catalog.sessions.values() {
            let (Some((id, _)), Some(file)) = (session.begin, session.checkpoint_file()) else {
                continue;
            };
            let name = file.name(&id);
            match files.remove(&name) {
                Some(length) if length == file.length => {}
                Some(length) => {
                    let at = length.min(file.length);
                    return Err(Error::corrupt(name, at, "the checkpoint has another length"));
                }
                None => return Err(Error::corrupt(name, 0, "the checkpoint is missing")),
            }
        }
        self.old_checkpoints.extend(files.into_keys().filter(|name| name.ends_with(".ckpt")));
        Ok(())
    }
}
