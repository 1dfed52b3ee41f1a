//! One session or room as a stream of bytes.

use std::io::{self, Read, Write};

use bytes::Bytes;
use teatime_reflector::storage::{Checkpoint, Key, Record, RecordKind, Stored};
use xxhash_rust::xxh3::Xxh3;

use crate::limits::at_most;
use crate::log::key;
use crate::{Error, limits};

const MAGIC: [u8; 8] = *b"TeaTmSes";
const VERSION: u32 = 3;

/// What stands before each part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head = 1,
    Checkpoint = 2,
    Record = 3,
    End = 4,
    Key = 5,
}

/// A part of the stream.
struct PartRead {
    part: Part,
    kind: u8,
    seq: u64,
    bytes: Vec<u8>,
}

/// Writes a stream. Returns its length in bytes.
pub(super) fn write(key: Key, stored: &Stored, writer: impl Write) -> io::Result<u64> {
    let mut out = Summed { inner: writer, sum: Xxh3::new(), bytes: 0 };
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.part(Part::Key, 0, 0, &key::encode(key))?;
    out.part(Part::Head, 0, 0, &stored.head)?;
    if let Some(Checkpoint { seq, bytes }) = &stored.checkpoint {
        out.part(Part::Checkpoint, 0, *seq, bytes)?;
    }
    for Record { seq, kind, bytes } in &stored.records {
        out.part(Part::Record, *kind as u8, *seq, bytes)?;
    }
    let sum = out.sum.digest128().to_le_bytes();
    out.part(Part::End, 0, 0, &sum)?;
    out.inner.flush()?;
    Ok(out.bytes)
}

/// Reads a whole stream, and verifies it.
pub(super) fn read(reader: impl Read) -> Result<(Key, Stored), Error> {
    let mut stream = Summed { inner: reader, sum: Xxh3::new(), bytes: 0 };
    if stream.array()? != MAGIC {
        return Err(Error::corrupt("", 0, "not an exported session"));
    }
    let found = u32::from_le_bytes(stream.array()?);
    if found != VERSION {
        return Err(Error::OtherFormat { found, known: VERSION });
    }
    let mut key = None;
    let mut head: Option<Bytes> = None;
    let mut stored = Stored::default();
    loop {
        let sum = stream.sum.digest128();
        let PartRead { part, kind, seq, bytes } = stream.next_part()?;
        let has_more = stored.checkpoint.is_some() || !stored.records.is_empty();
        match part {
            Part::Key if key.is_none() => {
                let (read, rest) =
                    key::decode(&bytes).ok_or_else(|| stream.corrupt("invalid key"))?;
                if !rest.is_empty() {
                    return Err(stream.corrupt("invalid key"));
                }
                key = Some(read);
            }
            Part::Head if key.is_some() && head.is_none() => head = Some(bytes.into()),
            Part::Checkpoint if head.is_some() && !has_more => {
                stored.checkpoint = Some(Checkpoint { seq, bytes: bytes.into() });
            }
            Part::Record if head.is_some() => {
                let kind = RecordKind::try_from(kind)
                    .map_err(|error| stream.corrupt(&error.to_string()))?;
                stored.records.push(Record { seq, kind, bytes: bytes.into() });
            }
            Part::End if (kind, seq) == (0, 0) && bytes == sum.to_le_bytes() => break,
            Part::End => return Err(stream.corrupt("the checksum is wrong")),
            _ => return Err(stream.corrupt("the parts are in a wrong order")),
        }
    }
    let mut more = Vec::new();
    stream.inner.by_ref().take(1).read_to_end(&mut more)?;
    if !more.is_empty() {
        return Err(stream.corrupt("there are bytes after the end"));
    }
    stored.head = head.ok_or_else(|| stream.corrupt("the head is missing"))?;
    let key = key.ok_or_else(|| stream.corrupt("the key is missing"))?;
    Ok((key, stored))
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

    /// Uses no more memory than bytes arrive, whatever the length says.
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

    fn next_part(&mut self) -> Result<PartRead, Error> {
        let [part, kind] = self.array()?;
        let all = [Part::Key, Part::Head, Part::Checkpoint, Part::Record, Part::End];
        let part = all.into_iter().find(|known| *known as u8 == part);
        let part = part.ok_or_else(|| self.corrupt("a part of unknown kind"))?;
        let seq = u64::from_le_bytes(self.array()?);
        let length = u64::from_le_bytes(self.array()?);
        let most = match part {
            Part::Key => 128,
            Part::Head => limits::MAX_HEAD,
            Part::Checkpoint => limits::MAX_CHECKPOINT,
            Part::Record => limits::MAX_RECORD,
            Part::End => 16,
        };
        at_most(usize::try_from(length).unwrap_or(usize::MAX), most)
            .map_err(|_| self.corrupt("a part is too long"))?;
        let bytes = self.take(length)?;
        Ok(PartRead { part, kind, seq, bytes })
    }
}
