//! The era of a store. It changes whenever committed writes may be missing, and then clients must
//! not go on with what they have.

use crate::Error;
use crate::config::Durability;
use crate::disk::disk::{Disk, DiskFile, read_if_there};
use crate::log::checksum::{Salt, short};

const FILE: &str = "ERA";

/// The file before it is complete.
const NEW_FILE: &str = "ERA.new";

/// Written in place of a run of the system: everything is durable.
const DURABLE: &str = "-";

/// Written in place of a run of the system that cannot be identified.
const UNKNOWN: &str = "?";

/// The era of a store.
#[derive(Debug)]
pub(crate) struct Era<D> {
    disk: D,
    salt: Salt,
    /// The run of the system in which the store was opened.
    boot: Option<String>,
    number: u64,
    /// What the file says: the run of the system whose writes may not be durable. `None` if there is
    /// no file, or its content must change.
    since: Option<String>,
}

impl<D: Disk> Era<D> {
    /// Reads the era of a disk, or begins a new one.
    pub(crate) fn read(disk: D, salt: Salt) -> Result<Self, Error> {
        let known = read_if_there(&disk, FILE)?.and_then(|bytes| decode(salt, &bytes));
        let boot = disk.boot();
        let known = known.filter(|(_, since)| since == DURABLE || Some(since) == boot.as_ref());
        let (number, since) = match known {
            Some((number, since)) => (number, Some(since)),
            None => (disk.random()?, None),
        };
        Ok(Self { disk, salt, boot, number, since })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Begins a new era.
    pub(crate) fn renew(&mut self) -> Result<(), Error> {
        self.number = self.disk.random()?;
        self.since = None;
        Ok(())
    }

    /// Whether [`note_writing`](Self::note_writing) has nothing to write.
    pub(crate) fn is_noted(&self, durability: Durability) -> bool {
        self.since.as_deref() == Some(self.writing(durability))
    }

    /// To be called before each commit. What was on the disk when the store was opened is durable.
    pub(crate) fn note_writing(&mut self, durability: Durability) -> Result<(), Error> {
        if self.is_noted(durability) {
            return Ok(());
        }
        let since = self.writing(durability).to_owned();
        self.note(since)
    }

    /// Everything is durable.
    pub(crate) fn note_durable(&mut self) -> Result<(), Error> {
        self.note(DURABLE.to_owned())
    }

    fn writing(&self, durability: Durability) -> &str {
        match durability {
            Durability::Power => DURABLE,
            Durability::Process => self.boot.as_deref().unwrap_or(UNKNOWN),
        }
    }

    fn note(&mut self, since: String) -> Result<(), Error> {
        if self.since.as_ref() == Some(&since) {
            return Ok(());
        }
        let mut file = self.disk.create(NEW_FILE)?;
        file.append(encode(self.salt, self.number, &since).as_bytes())?;
        file.sync()?;
        self.disk.rename(NEW_FILE, FILE)?;
        self.disk.sync_folder("")?;
        self.since = Some(since);
        Ok(())
    }
}

fn encode(salt: Salt, number: u64, since: &str) -> String {
    let covered = format!("era {number:016x}\nsince {since}\n");
    format!("{covered}checksum {:016x}\n", short(salt, covered.as_bytes()))
}

/// The content of the file, if it is complete and belongs to this store.
fn decode(salt: Salt, bytes: &[u8]) -> Option<(u64, String)> {
    let text = str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let number = u64::from_str_radix(lines.next()?.strip_prefix("era ")?, 16).ok()?;
    let since = lines.next()?.strip_prefix("since ")?;
    (text == encode(salt, number, since)).then(|| (number, since.to_owned()))
}
