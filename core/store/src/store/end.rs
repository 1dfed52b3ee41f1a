//! The end of the log: writes commits there, and mends what a failure leaves behind.

use std::io;

use crate::Error;
use crate::disk::disk::{Disk, DiskFile, remove_if_there};
use crate::log::format::StoreId;
use crate::log::segment::{self, Header};

/// The end of the log, where commits are written.
pub(crate) struct LogEnd<D: Disk> {
    disk: D,
    store: StoreId,
    /// The newest segment.
    number: u64,
    /// Its file; `None` while it is being synced, or after that failed to come back.
    file: Option<D::File>,
    /// Everything up to here is committed.
    length: u64,
    wound: Wound,
}

/// What a failure has left behind.
#[derive(Debug, Default)]
struct Wound {
    /// There may be bytes after the end of the newest segment.
    tail: bool,
    /// The file of a segment that was not begun completely.
    stray: Option<String>,
    /// Syncing the newest segment failed: it gets no more commits.
    distrusted: bool,
}

/// Bytes that are written and not committed yet.
pub(crate) struct Written {
    pub(crate) segment: u64,
    /// Where they begin.
    pub(crate) offset: u64,
    end: u64,
}

/// A file that is to be made durable. No lock is needed for that.
pub(crate) struct Sync<F> {
    file: F,
    result: io::Result<()>,
}

impl<F: DiskFile> Sync<F> {
    /// Makes the file durable. Takes as long as the disk needs.
    pub(crate) fn run(mut self) -> Self {
        self.result = self.file.sync();
        self
    }
}

impl<D: Disk> LogEnd<D> {
    pub(crate) fn new(disk: D, store: StoreId, number: u64, file: D::File, length: u64) -> Self {
        Self { disk, store, number, file: Some(file), length, wound: Wound::default() }
    }

    /// The newest segment.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The length of the newest segment, as far as it is committed.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether a commit of this many bytes must begin a new segment.
    pub(crate) fn is_full_for(&self, bytes: usize, segment_bytes: u64) -> bool {
        let is_empty = self.length <= segment::HEADER as u64;
        (!is_empty && self.length + bytes as u64 > segment_bytes) || self.wound.distrusted
    }

    /// Whether something must be mended before the next commit.
    pub(crate) fn is_wounded(&self) -> bool {
        self.wound.tail || self.wound.stray.is_some() || self.wound.distrusted
    }

    fn file(&mut self) -> io::Result<&mut D::File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.open_to_append(&segment::name(self.number))?,
        };
        Ok(self.file.insert(file))
    }

    /// Makes the newest segment durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync()
    }

    /// Begins the next segment. The one before is durable after this, and never changes again.
    /// Returns the number and the length of the new one.
    pub(crate) fn roll(&mut self, first: u64, next_index: u64) -> io::Result<(u64, u64)> {
        self.sync()?;
        let number = self.number + 1;
        self.wound.stray = Some(segment::name(number));
        let (store, previous_length) = (self.store, self.length);
        let header = Header { store, number, first, previous_length, next_index };
        let file = begin_segment(&self.disk, &header)?;
        self.wound = Wound::default();
        self.number = number;
        self.file = Some(file);
        self.length = segment::HEADER as u64;
        Ok((number, self.length))
    }

    /// Writes a commit. Call [`commit`](Self::commit) to make it count, perhaps after a sync.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        self.wound.tail = true;
        self.file()?.append(bytes)?;
        let (segment, offset) = (self.number, self.length);
        Ok(Written { segment, offset, end: offset + bytes.len() as u64 })
    }

    /// Takes the newest segment out, to sync it without the log. Nothing may be written until
    /// [`synced`](Self::synced) gets it back.
    pub(crate) fn start_sync(&mut self) -> io::Result<Sync<D::File>> {
        self.file()?;
        self.wound.distrusted = true;
        let file = self.file.take().ok_or(io::ErrorKind::NotFound)?;
        Ok(Sync { file, result: Ok(()) })
    }

    /// Takes back the segment that was synced.
    pub(crate) fn synced(&mut self, sync: Sync<D::File>) -> io::Result<()> {
        self.file = Some(sync.file);
        sync.result?;
        self.wound.distrusted = false;
        Ok(())
    }

    /// Makes written bytes count.
    pub(crate) fn commit(&mut self, written: &Written) {
        self.wound.tail = false;
        self.length = written.end;
    }

    /// Removes what a failure may have left.
    pub(crate) fn mend(&mut self) -> Result<(), Error> {
        if let Some(stray) = &self.wound.stray {
            remove_if_there(&self.disk, stray)?;
            self.disk.sync_folder(segment::FOLDER)?;
            self.wound.stray = None;
        }
        if self.wound.tail {
            let length = self.length;
            let file = self.file()?;
            file.truncate(length)?;
            file.sync()?;
            self.wound.tail = false;
        }
        Ok(())
    }
}

/// Deletes the oldest segment. It must be gone, durably, before the next one is deleted: only newer
/// segments tell that it no longer counts.
pub(crate) fn remove_segment<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    remove_if_there(disk, path)?;
    disk.sync_folder(segment::FOLDER)
}

/// Makes a segment without commits, durably.
pub(crate) fn begin_segment<D: Disk>(disk: &D, header: &Header) -> io::Result<D::File> {
    let mut file = disk.create(&segment::name(header.number))?;
    file.append(&header.encode())?;
    file.sync()?;
    disk.sync_folder(segment::FOLDER)?;
    Ok(file)
}
