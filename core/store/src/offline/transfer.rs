//! Takes one session or room out of a store, and puts one in.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use teatime_reflector::storage::{Key, Stored};
use teatime_wire::Beginning;

use crate::Error;
use crate::config::Config;
use crate::disk::disk::Disk;
use crate::disk::real::RealDisk;
use crate::offline::{stream, tools};
use crate::store::read::Plan;
use crate::store::store::DiskStore;
use crate::store::survey::read_log;

/// How often to read a store that is open before it counts as damaged.
const ATTEMPTS: u32 = 20;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

/// Everything of one session or room, as it was last written; `None` if the store does not have it. A
/// reflector may have the store open; what it has not synced yet is included. Checkpoints of other
/// sessions are not read.
///
/// # Errors
/// As [`list`](crate::list), but never [`Error::Locked`].
pub fn load(dir: impl AsRef<Path>, key: Key) -> Result<Option<Stored>, Error> {
    // Segments are only appended to, and every entry has its checksum: what is found is valid. But
    // files may be deleted between listing and reading, once everything that counts in them was
    // copied.
    let dir = dir.as_ref();
    let mut before = None;
    for _ in 1..ATTEMPTS {
        match read_one(&RealDisk::new(dir), key) {
            Err(error @ Error::Corrupt { .. }) => {
                // A deleted file is not found missing a second time; real damage is.
                let same = before.replace(error.to_string());
                if same == before {
                    return Err(error);
                }
            }
            Err(Error::Io(_)) => {}
            loaded => return loaded,
        }
        std::thread::sleep(PAUSE);
    }
    read_one(&RealDisk::new(dir), key)
}

fn read_one<D: Disk>(disk: &D, key: Key) -> Result<Option<Stored>, Error> {
    let survey = read_log(disk)?;
    let plan = Plan::new(&survey.catalog, key);
    plan.map(|plan| plan.read_usable(disk, survey.id.salt())).transpose()
}

/// Writes one session or room of a store that is not open. Returns how many bytes it wrote.
///
/// # Errors
/// [`Error::Unknown`], as [`list`](crate::list), and what the writer reports.
pub fn export(dir: impl AsRef<Path>, key: Key, writer: impl Write) -> Result<u64, Error> {
    let disk = tools::lock(dir.as_ref())?;
    let stored = read_one(&disk, key)?.ok_or(Error::Unknown)?;
    Ok(stream::write(key, &stored, writer)?)
}

/// Puts a session or room into a store that is not open, completely or not at all; makes the store if
/// there is none. Returns its key. Begins a new [era](crate::Store::era), because clients may have
/// seen more of the session than the stream has.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Corrupt`], without a file, if [`export`] did not write the
/// stream; [`Error::OtherFormat`]; as opening and committing; what the reader reports.
pub fn import(dir: impl AsRef<Path>, reader: impl Read) -> Result<Key, Error> {
    let (key, stored) = stream::read(reader)?;
    insert(dir, key, &stored)?;
    Ok(key)
}

/// Puts a session or room into a store, as [`import`] does.
///
/// # Errors
/// [`Error::Exists`]; as opening and committing.
pub fn insert(dir: impl AsRef<Path>, key: Key, stored: &Stored) -> Result<(), Error> {
    let mut store = DiskStore::open_dir(dir.as_ref(), Config::default())?;
    store.begin_era()?;
    store.insert(key, stored)
}

/// What a reflector would store of a session that begins with a snapshot. Draws its timeline at random.
///
/// # Errors
/// [`Error::Io`] if the operating system has no random numbers.
pub fn new_session(beginning: Beginning) -> Result<Stored, Error> {
    let timeline = getrandom::u64().map_err(std::io::Error::other)?;
    Ok(Stored::begin(beginning, timeline))
}
