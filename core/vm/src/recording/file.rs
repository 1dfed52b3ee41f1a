//! The file of a recording: written piece by piece, and readable up to wherever it ends.
//!
//! After the [mark](super::Mark) and the format stand blocks. Each is its kind (one byte), the length
//! of its content (four bytes, the lowest first), four bytes that check these two, the content as
//! canonical MessagePack, and sixteen bytes of BLAKE3 over all of it and the sixteen before: blocks can
//! be neither changed, nor left out, nor put in another order. The first says of which session it is;
//! the state that it begins with follows, if there is one; then events, as many to a block as there
//! were at once; and at the end one that says so. A file without it was cut short.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::{Head, Input, Mark, Recording, RecordingError, is_mark};
use crate::encode;
use crate::limits::MAX_DEPTH;
use crate::time::Time;

/// What the file of a recording begins with.
pub const MARK: &Mark = b"TeaTmRec";

/// Changes with the layout of these files. The first was that of one block with everything.
pub const FORMAT: u8 = 2;

/// Bytes of the sum at the end of a block.
const SUM: usize = 16;

/// Bytes in front of the content: kind, length, and what checks them.
const FRONT: usize = 1 + 4 + 4;

/// So many events are in a block at most, and none of them has more than a few times 64 KiB.
const EVENTS_PER_BLOCK: usize = 1024;

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Head = 1,
    Base = 2,
    Events = 3,
    End = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [Self::Head, Self::Base, Self::Events, Self::End];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a file begins with: its session, and where in it that is.
#[derive(Deserialize)]
struct Opening {
    head: Head,
    from: u64,
    time: Time,
    has_base: bool,
}

/// How a recording ends that does not end as it should. What comes before can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cut {
    /// It has no end.
    #[error("it has no end: its recorder was stopped, or goes on")]
    Open,
    /// It ends in the middle of a block.
    #[error("it is cut short at byte {at}, in the middle of what was written last")]
    Torn {
        /// Where that block begins.
        at: usize,
    },
    /// A block is not what was written.
    #[error("it is damaged at byte {at}: nothing from there on can be used")]
    Damaged {
        /// Where that block begins.
        at: usize,
    },
}

/// Makes the bytes of a file, piece by piece. Whoever writes them one after the other has a file that
/// can be read at any time.
pub struct Encoder {
    sum: [u8; SUM],
}

impl Encoder {
    /// Begins a recording with this state, whose newest event and time these are; without a state it is
    /// the session's beginning.
    pub fn begin(
        head: &Head,
        base: Option<&[u8]>,
        from: u64,
        time: Time,
        out: &mut Vec<u8>,
    ) -> Self {
        out.extend(MARK);
        out.push(FORMAT);
        let mut encoder = Self { sum: start() };
        let opening = (head, from, time, base.is_some());
        encoder.block(Kind::Head, &opening, out);
        if let Some(base) = base {
            encoder.block(Kind::Base, Bytes::new(base), out);
        }
        encoder
    }

    /// Adds what has come since, and the time that the session has reached with it.
    pub fn add(&mut self, inputs: &[Input], time: Time, out: &mut Vec<u8>) {
        let mut chunks = inputs.chunks(EVENTS_PER_BLOCK).peekable();
        if chunks.peek().is_none() {
            self.block(Kind::Events, &(time, inputs), out);
        }
        while let Some(chunk) = chunks.next() {
            let reached = chunk.last().map_or(time, |input| input.time);
            let reached = if chunks.peek().is_none() { time } else { reached };
            self.block(Kind::Events, &(reached, chunk), out);
        }
    }

    /// Says that nothing follows.
    pub fn end(mut self, out: &mut Vec<u8>) {
        self.block(Kind::End, &(), out);
    }

    fn block(&mut self, kind: Kind, content: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
        let start = out.len();
        out.push(kind as u8);
        out.extend([0; FRONT - 1]);
        encode::append(out, content).expect("what files are made of can be expressed");
        let length = u32::try_from(out.len() - start - FRONT)
            .expect("snapshots and a block of events are far smaller");
        out[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        let check = front_check(&self.sum, &out[start..start + 5]);
        out[start + 5..start + FRONT].copy_from_slice(&check);
        self.sum = chain(&self.sum, &out[start..]);
        out.extend(self.sum);
    }
}

fn start() -> [u8; SUM] {
    chain(&[FORMAT; SUM], MARK)
}

fn chain(before: &[u8; SUM], bytes: &[u8]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(bytes);
    let mut sum = [0; SUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

fn front_check(before: &[u8; SUM], front: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = chain(before, front);
    [a, b, c, d]
}

/// The bytes of a whole file.
pub(super) fn encode(recording: &Recording) -> Vec<u8> {
    let mut out = Vec::new();
    let Recording { head, base, from, inputs, until } = recording;
    let mut encoder = Encoder::begin(head, base.as_deref(), *from, Time::ZERO, &mut out);
    encoder.add(inputs, until.0, &mut out);
    encoder.end(&mut out);
    out
}

/// Goes through the blocks of a file.
struct Blocks<'a> {
    file: &'a [u8],
    at: usize,
    sum: [u8; SUM],
}

impl<'a> Blocks<'a> {
    /// The next block and its content.
    fn next(&mut self) -> Result<(Kind, &'a [u8]), Cut> {
        let at = self.at;
        let rest = &self.file[at..];
        if rest.is_empty() {
            return Err(Cut::Open);
        }
        let (torn, damaged) = (Cut::Torn { at }, Cut::Damaged { at });
        let (front, after) = rest.split_at_checked(FRONT).ok_or(torn.clone())?;
        if front[5..] != front_check(&self.sum, &front[..5]) {
            return Err(damaged);
        }
        let kind = Kind::from_byte(front[0]).ok_or(damaged.clone())?;
        let length = u32::from_le_bytes([front[1], front[2], front[3], front[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (content, after) = after.split_at_checked(length).ok_or(torn.clone())?;
        let sum = after.get(..SUM).ok_or(torn)?;
        self.sum = chain(&self.sum, &rest[..FRONT + length]);
        if sum != self.sum {
            return Err(damaged);
        }
        self.at += FRONT + length + SUM;
        Ok((kind, content))
    }
}

/// Reads as much of a file as can be used, and says how it ends if that is not as it should.
pub(super) fn decode(file: &[u8]) -> Result<(Recording, Option<Cut>), RecordingError> {
    is_mark(MARK, file)?;
    match file.get(MARK.len()) {
        None => return Err(RecordingError::Short),
        Some(&FORMAT) => {}
        Some(&found) => return Err(RecordingError::Format { found, known: FORMAT }),
    }
    let mut blocks = Blocks { file, at: MARK.len() + 1, sum: start() };
    let unusable = |cut: Cut| match cut {
        Cut::Damaged { .. } => RecordingError::Damaged,
        Cut::Open | Cut::Torn { .. } => RecordingError::Short,
    };
    let opening: Opening = match blocks.next().map_err(unusable)? {
        (Kind::Head, content) => read(content)?,
        _ => return Err(out_of_place()),
    };
    let base = match opening.has_base {
        true => match blocks.next().map_err(unusable)? {
            (Kind::Base, content) => Some(Arc::from(read::<ByteBuf>(content)?.into_vec())),
            _ => return Err(out_of_place()),
        },
        false => None,
    };
    let (from, inputs) = (opening.from, Vec::new());
    let until = (opening.time, from);
    let mut recording = Recording { head: opening.head, base, from, inputs, until };
    let cut = events(&mut blocks, &mut recording)?;
    recording.check()?;
    Ok((recording, cut))
}

fn events(
    blocks: &mut Blocks<'_>,
    recording: &mut Recording,
) -> Result<Option<Cut>, RecordingError> {
    loop {
        match blocks.next() {
            Ok((Kind::Events, content)) => {
                let (time, mut inputs): (Time, Vec<Input>) = read(content)?;
                let newest = inputs.last().map_or(recording.until.0, |input| input.time);
                if time < newest {
                    return Err(RecordingError::Content("time goes back".to_owned()));
                }
                recording.inputs.append(&mut inputs);
                let seq = recording.from.checked_add(recording.inputs.len() as u64);
                recording.until = (time, seq.ok_or_else(out_of_place)?);
            }
            Ok((Kind::End, _)) => {
                let at = blocks.at;
                let more = at < blocks.file.len();
                return Ok(more.then_some(Cut::Damaged { at }));
            }
            Ok(_) => return Err(out_of_place()),
            Err(cut) => return Ok(Some(cut)),
        }
    }
}

fn out_of_place() -> RecordingError {
    RecordingError::Content("a part of it is out of place".to_owned())
}

fn read<T: DeserializeOwned>(content: &[u8]) -> Result<T, RecordingError> {
    let mut rest = content;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    let value =
        T::deserialize(&mut reader).map_err(|error| RecordingError::Content(error.to_string()))?;
    if !rest.is_empty() {
        return Err(RecordingError::Content("bytes follow it".into()));
    }
    Ok(value)
}
