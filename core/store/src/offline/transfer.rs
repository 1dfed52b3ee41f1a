//! One session as a stream of bytes.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use crate::config::Config;
use crate::disk::Disk;
use crate::open::read_store;
use crate::pending::at_most;
use crate::real::RealDisk;
use crate::storage::{Checkpoint, Record, SessionId, Storage, Stored};
use crate::store::{DiskStore, Store};
use crate::{Error, limits, tools};

const MAGIC: [u8; 8] = *b"TeaTmSes";
const VERSION: u32 = 1;

/// What stands before each part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head = 1,
    Checkpoint = 2,
    Record = 3,
    End = 4,
}

/// How often a store that somebody has open is read before it counts as damaged.
const ATTEMPTS: u32 = 20;

/// How long is waited between these.
const PAUSE: Duration = Duration::from_millis(25);

/// One session of a store, as it was written last; nothing if there is no such session. A reflector may have the
/// store open meanwhile, or open it, and goes on; what it has not synced yet is there, too.
///
/// # Errors
/// What [`list`](crate::list) says, except that the store is in use. Checkpoints of other sessions are not looked at.
pub fn load(dir: impl AsRef<Path>, session: &SessionId) -> Result<Option<Stored>, Error> {
    // Segments are only appended to, and every entry has its checksum: what is found is right. But files may go
    // between being found and being read, once everything in them that counts stands elsewhere.
    let dir = dir.as_ref();
    let mut before = None;
    for _ in 1..ATTEMPTS {
        match read_store(RealDisk::new(dir)).and_then(|store| store.load_session(session)) {
            Err(error @ Error::Corrupt { .. }) => {
                // What has gone the next time is not what had gone before.
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
    read_store(RealDisk::new(dir))?.load_session(session)
}

/// Writes one session of a store that nobody has open. Returns how many bytes that were.
///
/// # Errors
/// [`Error::UnknownSession`], what [`list`](crate::list) says, and what the writer says.
pub fn export(
    dir: impl AsRef<Path>,
    session: &SessionId,
    writer: impl Write,
) -> Result<u64, Error> {
    let store = read_store(tools::lock(dir.as_ref())?)?;
    let stored = store.load_session(session)?.ok_or(Error::UnknownSession)?;
    let mut out = Summed { inner: writer, sum: Xxh3::new(), bytes: 0 };
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(session)?;
    out.part(Part::Head, 0, 0, &stored.head)?;
    if let Some(Checkpoint { seq, bytes }) = &stored.checkpoint {
        out.part(Part::Checkpoint, 0, *seq, bytes)?;
    }
    for Record { seq, kind, bytes } in &stored.records {
        out.part(Part::Record, *kind, *seq, bytes)?;
    }
    let sum = out.sum.digest128().to_le_bytes();
    out.part(Part::End, 0, 0, &sum)?;
    out.inner.flush()?;
    Ok(out.bytes)
}

/// Puts a session into a store that nobody has open; makes the store if there is none. It is
/// there completely or not at all. Returns its name. Begins a new [era](crate::Store::era): clients may
/// have seen more of the session than there is here.
///
/// # Errors
/// [`Error::SessionExists`]; [`Error::Corrupt`], without a file, if the stream is not what
/// [`export`] wrote; [`Error::NewerFormat`]; what opening and committing say, and the reader.
pub fn import(dir: impl AsRef<Path>, reader: impl Read) -> Result<SessionId, Error> {
    let (session, stored) = read_stream(reader)?;
    insert(dir, &session, &stored)?;
    Ok(session)
}

/// Puts a session into a store as [`import`] does.
///
/// # Errors
/// [`Error::SessionExists`]; what opening and committing say.
pub fn insert(dir: impl AsRef<Path>, session: &SessionId, stored: &Stored) -> Result<(), Error> {
    let mut store = DiskStore::open_dir(dir.as_ref(), Config::default())?;
    store.begin_era()?;
    store.insert(session, stored)
}

impl<D: Disk> Store<D> {
    /// Adds a whole session with one commit.
    pub(crate) fn insert(&mut self, id: &SessionId, stored: &Stored) -> Result<(), Error> {
        self.begin(id, &stored.head)?;
        if let Some(Checkpoint { seq, bytes }) = &stored.checkpoint {
            let staged = self.stage_now(id, *seq, bytes);
            staged.or_else(|error| self.give_up(error))?;
        }
        for Record { seq, kind, bytes } in &stored.records {
            self.append(id, *seq, *kind, bytes)?;
        }
        self.commit()
    }
}

/// Counts and sums what it passes on.
struct Summed<T> {
    inner: T,
    sum: Xxh3,
    bytes: u64,
}

impl<W: Write> Summed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn part(&mut self, part: Part, kind: u8, seq: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all(&[part as u8, kind])?;
        self.write_all(&seq.to_le_bytes())?;
        self.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.write_all(bytes)
    }
}

impl<R: Read> Summed<R> {
    fn corrupt(&self, what: &str) -> Error {
        Error::corrupt("", self.bytes, what)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| self.corrupt("the stream ends too early"))
    }

    /// Takes no more memory than bytes come, whatever the length says.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.inner.by_ref().take(length).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < length {
            return Err(self.corrupt("the stream ends too early"));
        }
        self.sum.update(&bytes);
        self.bytes += length;
        Ok(bytes)
    }

    fn next_part(&mut self) -> Result<(Part, u8, u64, Vec<u8>), Error> {
        let [part, kind] = self.array()?;
        let all = [Part::Head, Part::Checkpoint, Part::Record, Part::End];
        let part = all.into_iter().find(|known| *known as u8 == part);
        let part = part.ok_or_else(|| self.corrupt("there is no such part"))?;
        let seq = u64::from_le_bytes(self.array()?);
        let length = u64::from_le_bytes(self.array()?);
        let most = match part {
            Part::Head => limits::MAX_HEAD,
            Part::Checkpoint => limits::MAX_CHECKPOINT,
            Part::Record => limits::MAX_RECORD,
            Part::End => 16,
        };
        at_most(usize::try_from(length).unwrap_or(usize::MAX), most)
            .map_err(|_| self.corrupt("a part is too long"))?;
        Ok((part, kind, seq, self.take(length)?))
    }
}

fn read_stream(reader: impl Read) -> Result<(SessionId, Stored), Error> {
    let mut stream = Summed { inner: reader, sum: Xxh3::new(), bytes: 0 };
    if stream.array()? != MAGIC {
        return Err(Error::corrupt("", 0, "this is not a session"));
    }
    let found = u32::from_le_bytes(stream.array()?);
    let session = stream.array()?;
    let mut stored = Stored { head: Vec::new(), checkpoint: None, records: Vec::new() };
    let mut first = true;
    let mut sum = stream.sum.digest128();
    loop {
        let (part, kind, seq, bytes) = stream.next_part()?;
        match part {
            Part::Head if first => stored.head = bytes,
            Part::Checkpoint if stored.checkpoint.is_none() && stored.records.is_empty() => {
                stored.checkpoint = Some(Checkpoint { seq, bytes });
            }
            Part::Record if !first => stored.records.push(Record { seq, kind, bytes }),
            Part::End if (kind, seq) == (0, 0) && bytes == sum.to_le_bytes() => break,
            Part::End => return Err(stream.corrupt("the checksum is wrong")),
            _ => return Err(stream.corrupt("the parts are in the wrong order")),
        }
        first = false;
        sum = stream.sum.digest128();
    }
    let mut more = Vec::new();
    stream.inner.take(1).read_to_end(&mut more)?;
    if !more.is_empty() {
        return Err(Error::corrupt("", stream.bytes, "there is more than a session"));
    }
    if found > VERSION {
        return Err(Error::NewerFormat { found, known: VERSION });
    }
    Ok((session, stored))
}
