//! Reads the whole log of a store without changing the disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::disk::disk::{Disk, list_if_there, read_if_there};
use crate::log::checkpoint;
use crate::log::format::{self, StoreId};
use crate::log::scan::{Damage, SegmentReader};
use crate::log::segment::{self, Header};
use crate::store::catalog::Catalog;

/// What is on a disk.
pub(crate) struct Survey {
    pub(crate) id: StoreId,
    pub(crate) catalog: Catalog,
    /// The newest segment.
    pub(crate) newest: u64,
    /// Where its last complete commit ends.
    pub(crate) end: u64,
    /// The torn write after that.
    pub(crate) torn: Option<Damage>,
    /// The file of a segment that was not begun completely.
    pub(crate) unbegun: Option<String>,
    /// Files of segments that no longer count, the oldest first.
    pub(crate) old_segments: Vec<String>,
    /// Files of checkpoints that do not count.
    pub(crate) old_checkpoints: Vec<String>,
}

/// Reads the whole log, and checks that the checkpoints exist.
pub(crate) fn survey<D: Disk>(disk: &D) -> Result<Survey, Error> {
    let mut survey = read_log(disk)?;
    survey.check_checkpoints(disk)?;
    Ok(survey)
}

/// Reads the whole log. Refuses all damage but a torn write at the end.
pub(crate) fn read_log<D: Disk>(disk: &D) -> Result<Survey, Error> {
    let id = read_format(disk)?.ok_or(Error::NoStore)?;
    let mut numbers = segments(disk)?;
    let unbegun = take_unbegun(disk, id, &mut numbers)?;
    let newest = *numbers.last().ok_or_else(|| missing(1))?;
    let mut survey = Survey::new(id, newest);
    survey.unbegun = unbegun;
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
    let first = survey.catalog.segments().first();
    if oldest > first {
        return Err(missing(first));
    }
    if first > newest {
        // Opening the store would delete all of them.
        let what = "the log has no segment that counts";
        return Err(Error::corrupt(segment::name(newest), 0, what));
    }
    survey.old_segments.extend(numbers.range(..first).map(|number| segment::name(*number)));
    survey.catalog.segments_mut().forget_obsolete();
    survey.check_keys()?;
    // Checkpoints that were replaced in the past are gone, or are among the old ones.
    survey.catalog.take_doomed();
    Ok(survey)
}

/// Reads every complete commit of a damaged log. Returns the damage too.
pub(crate) fn read_damaged_log<D: Disk>(disk: &D) -> Result<(Survey, Vec<Error>), Error> {
    let numbers = segments(disk)?;
    let newest = *numbers.last().ok_or(Error::NoStore)?;
    let mut damages = Vec::new();
    let id = find_id(disk, &numbers, &mut damages)?;
    let mut survey = Survey::new(id, newest);
    for number in numbers {
        survey.read_damaged_segment(disk, number, &mut damages)?;
    }
    Ok((survey, damages))
}

/// The id of the store on this disk; `None` if it has no store.
pub(crate) fn read_format<D: Disk>(disk: &D) -> Result<Option<StoreId>, Error> {
    read_if_there(disk, format::FILE)?.map(|bytes| format::decode(&bytes)).transpose()
}

/// The numbers of all segments.
pub(crate) fn segments<D: Disk>(disk: &D) -> Result<BTreeSet<u64>, Error> {
    let files = list_if_there(disk, segment::FOLDER)?;
    Ok(files.iter().filter_map(|(name, _)| segment::number(name)).collect())
}

/// The id of a damaged store: from its description, or from the first segment with a valid header.
fn find_id<D: Disk>(
    disk: &D,
    numbers: &BTreeSet<u64>,
    damages: &mut Vec<Error>,
) -> Result<StoreId, Error> {
    let problem = match read_format(disk) {
        Ok(Some(id)) => return Ok(id),
        Ok(None) => Error::corrupt(format::FILE, 0, "the file is missing, but there is a log"),
        Err(problem @ Error::Corrupt { .. }) => problem,
        Err(error) => return Err(error),
    };
    for number in numbers {
        let mut reader = SegmentReader::open(disk, 0, *number)?;
        if let Some(id) = Header::store(*number, reader.header_bytes()?) {
            damages.push(problem);
            return Ok(id);
        }
    }
    Err(problem)
}

/// Takes the newest segment out if a crash came while it was begun: it has no commit and no valid header.
fn take_unbegun<D: Disk>(
    disk: &D,
    id: StoreId,
    numbers: &mut BTreeSet<u64>,
) -> Result<Option<String>, Error> {
    let Some(newest) = numbers.last().copied().filter(|_| numbers.len() > 1) else {
        return Ok(None);
    };
    let mut reader = SegmentReader::open(disk, id.salt(), newest)?;
    if reader.length() > segment::HEADER as u64 || reader.header(id)?.is_ok() {
        return Ok(None);
    }
    numbers.remove(&newest);
    Ok(Some(segment::name(newest)))
}

fn missing(number: u64) -> Error {
    Error::corrupt(segment::name(number), 0, "the segment is missing")
}

impl Survey {
    fn new(id: StoreId, newest: u64) -> Self {
        Self {
            id,
            catalog: Catalog::default(),
            newest,
            end: 0,
            torn: None,
            unbegun: None,
            old_segments: Vec::new(),
            old_checkpoints: Vec::new(),
        }
    }

    fn read_segment<D: Disk>(&mut self, disk: &D, number: u64) -> Result<(), Error> {
        let name = segment::name(number);
        let mut reader = SegmentReader::open(disk, self.id.salt(), number)?;
        let length = reader.length();
        reader.fill(0, length)?;
        let header = reader.header(self.id)?.map_err(|what| Error::corrupt(&name, 0, what))?;
        self.check_previous(&header)?;
        let catalog = &mut self.catalog;
        catalog.segments_mut().raise_first(header.first);
        catalog.raise_next_index(header.next_index);
        catalog.segments_mut().set_length(number, length);
        self.end = length;
        let read =
            reader.commits(segment::HEADER as u64, &mut |entry, at| catalog.apply(entry, at))?;
        match read {
            Ok(()) => Ok(()),
            Err(stop) if number == self.newest && stop.may_be_torn => {
                self.end = stop.cut;
                catalog.segments_mut().set_length(number, stop.cut);
                self.torn = Some(stop.damage);
                Ok(())
            }
            Err(stop) => Err(Error::corrupt(name, stop.damage.offset, stop.damage.what)),
        }
    }

    fn read_damaged_segment<D: Disk>(
        &mut self,
        disk: &D,
        number: u64,
        damages: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let name = segment::name(number);
        let mut reader = SegmentReader::open(disk, self.id.salt(), number)?;
        let length = reader.length();
        reader.fill(0, length)?;
        if let Err(what) = reader.header(self.id)? {
            damages.push(Error::corrupt(&name, 0, what));
        }
        let catalog = &mut self.catalog;
        catalog.segments_mut().set_length(number, length);
        let mut from = segment::HEADER as u64;
        while let Err(stop) = reader.commits(from, &mut |entry, at| catalog.apply(entry, at))? {
            damages.push(Error::corrupt(&name, stop.damage.offset, stop.damage.what));
            match stop.next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The length of the segment before never changed after this one began.
    fn check_previous(&self, header: &Header) -> Result<(), Error> {
        let previous = header.number - 1;
        match self.catalog.segments().length(previous) {
            Some(length) if length != header.previous_length => {
                let at = length.min(header.previous_length);
                let name = segment::name(previous);
                Err(Error::corrupt(name, at, "the segment has a wrong length"))
            }
            _ => Ok(()),
        }
    }

    /// Every living entry belongs to a key that has begun, and is in a segment that counts: the others are deleted.
    fn check_keys(&self) -> Result<(), Error> {
        let first = self.catalog.segments().first();
        let mut places = self.catalog.items().flat_map(|item| item.places());
        if let Some(at) = places.find(|at| at.segment < first) {
            let what = "an entry lives in a segment that no longer counts";
            return Err(Error::corrupt(segment::name(at.segment), at.offset, what));
        }
        for item in self.catalog.items().filter(|item| item.key().is_none()) {
            if let Some(at) = item.places().next() {
                let what = "an entry belongs to a session or room that never began";
                return Err(Error::corrupt(segment::name(at.segment), at.offset, what));
            }
        }
        if let Some(item) = self.catalog.items().find(|item| item.lacks_previous()) {
            let at = item.places().next().map_or((0, 0), |at| (at.segment, at.offset));
            let what = "the entry of the checkpoint before the newest one is missing";
            return Err(Error::corrupt(segment::name(at.0), at.1, what));
        }
        Ok(())
    }

    /// Every checkpoint that counts exists; all other files in its folder are leftovers.
    fn check_checkpoints<D: Disk>(&mut self, disk: &D) -> Result<(), Error> {
        let mut files: BTreeMap<String, u64> = list_if_there(disk, checkpoint::FOLDER)?
            .into_iter()
            .map(|(name, length)| (format!("{}/{name}", checkpoint::FOLDER), length))
            .collect();
        for item in self.catalog.items() {
            let Some(key) = item.key() else { continue };
            for file in item.files() {
                let path = file.path(key);
                match files.remove(&path) {
                    Some(length) if length == file.length() => {}
                    Some(length) => {
                        let at = length.min(file.length());
                        return Err(Error::corrupt(path, at, "the checkpoint has a wrong length"));
                    }
                    None => return Err(Error::corrupt(path, 0, "the checkpoint is missing")),
                }
            }
        }
        self.old_checkpoints.extend(files.into_keys().filter(|name| name.ends_with(".ckpt")));
        Ok(())
    }
}
