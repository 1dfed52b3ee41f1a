//! Whether something may be missing that was committed: then it is another era, and whoever has seen
//! more must not go on with it.

use std::io;

use crate::Error;
use crate::checksum::{Salt, short};
use crate::config::Durability;
use crate::disk::{Disk, DiskFile};
use crate::store::Store;

/// Its file.
const FILE: &str = "ERA";

/// The file before it is complete.
const NEW_FILE: &str = "ERA.new";

/// Stands for no start of the system at all: everything is durable.
const DURABLE: &str = "-";

/// Stands for a start of the system that cannot be told from others.
const UNKNOWN: &str = "?";

/// The era of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Era {
    number: u64,
    /// Since which start of the system not all may be durable, as the file says it; nothing if there
    /// is no file, or it says something else.
    since: Option<String>,
}

impl Era {
    /// The era of what is on a disk.
    pub(crate) fn of<D: Disk>(disk: &D, salt: Salt) -> Result<Self, Error> {
        let known = match disk.open(FILE) {
            Ok(file) => decode(salt, &file.read(0, file.len()?)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match known {
            Some((number, since)) if since == DURABLE || Some(&since) == disk.boot().as_ref() => {
                Ok(Self { number, since: Some(since) })
            }
            _ => Self::new(disk),
        }
    }

    fn new<D: Disk>(disk: &D) -> Result<Self, Error> {
        Ok(Self { number: disk.random()?, since: None })
    }
}

impl<D: Disk> Store<D> {
    /// A number that is another one after a time from which something may be missing that was
    /// committed: after a power cut, unless the [`Durability`] was `Power` or the store was
    /// [closed](Self::close), and after [`import`](crate::import). Whoever puts an older copy in the
    /// place of a store deletes its file `ERA`, to the same end.
    pub fn era(&self) -> u64 {
        self.era.number
    }

    /// Makes everything durable, and notes that it is. To be called last.
    ///
    /// # Errors
    /// As [`commit`](crate::Storage::commit).
    pub fn close(&mut self) -> Result<(), Error> {
        self.heal()?;
        self.active.file.sync()?;
        self.note_era(DURABLE)
    }

    /// From now on it is another era.
    pub(crate) fn begin_era(&mut self) -> Result<(), Error> {
        self.era = Era::new(&self.disk)?;
        self.note_writing()
    }

    /// Something is about to be written. What was found when the store was opened is durable.
    pub(crate) fn note_writing(&mut self) -> Result<(), Error> {
        if self.config.durability == Durability::Power {
            return self.note_era(DURABLE);
        }
        let since = self.boot.clone().unwrap_or_else(|| UNKNOWN.into());
        self.note_era(&since)
    }

    fn note_era(&mut self, since: &str) -> Result<(), Error> {
        if self.era.since.as_deref() == Some(since) {
            return Ok(());
        }
        let mut file = self.disk.create(NEW_FILE)?;
        file.append(encode(self.salt, self.era.number, since).as_bytes())?;
        file.sync()?;
        self.disk.rename(NEW_FILE, FILE)?;
        self.disk.sync_folder("")?;
        self.era.since = Some(since.into());
        Ok(())
    }
}

fn encode(salt: Salt, number: u64, since: &str) -> String {
    let covered = format!("era {number:016x}\nsince {since}\n");
    format!("{covered}checksum {:016x}\n", short(salt, covered.as_bytes()))
}

/// What the file says, if it is whole and of this store.
fn decode(salt: Salt, bytes: &[u8]) -> Option<(u64, String)> {
    let text = str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let number = u64::from_str_radix(lines.next()?.strip_prefix("era ")?, 16).ok()?;
    let since = lines.next()?.strip_prefix("since ")?;
    (text == encode(salt, number, since)).then(|| (number, since.to_owned()))
}
