//! The file of a recording: written block by block, and readable up to the last whole block.
//!
//! A file starts with [`MARK`] and [`FORMAT`]. Blocks follow; each consists of:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | kind of the block |
//! | 4 | length of its content in bytes, little-endian |
//! | 4 | check of the two fields before |
//! | length | content as canonical MessagePack |
//! | 16 | sum: BLAKE3 over the sum of the block before, and the block up to here |
//!
//! So a block cannot be changed, left out, or moved without breaking its sum. The blocks come in this order:
//!
//! 1. one head: the session, and where in it the recording starts;
//! 2. at most one base: the state that the recording starts from;
//! 3. any number of blocks of events;
//! 4. one end. A file without it was truncated.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::file::{check_mark, read};
use super::{Head, Mark, Recording, RecordingError, TruncatedError};
use crate::encode;
use crate::external::Input;
use crate::time::Time;

/// The first bytes of the file of a recording.
pub const MARK: &Mark = b"TeaTmRec";

/// Changes with the layout of these files. Format 1 was a single block.
pub const FORMAT: u8 = 2;

/// Bytes of the sum at the end of a block.
const SUM: usize = 16;

/// Bytes in front of the content: kind, length, and the check of both.
const FRONT: usize = 1 + 4 + 4;

/// Most events of a block. An event has at most a few times 64 KiB, so a block stays far below 4 GiB.
const EVENTS_PER_BLOCK: usize = 1024;

/// Kind of a block.
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

/// Content of the first block.
#[derive(Deserialize)]
struct Opening {
    head: Head,
    from: u64,
    time: Time,
    has_base: bool,
}

/// Makes the bytes of a file, piece by piece. If the caller appends each piece to the file, the file can be
/// read at any time.
#[derive(Debug)]
pub struct Encoder {
    sum: [u8; SUM],
}

impl Encoder {
    /// Starts a recording, and appends its first bytes to `out`.
    ///
    /// `base` is the snapshot that it starts from, `from` and `time` are its newest sequence number and its
    /// time. Without a base the recording starts at the beginning of the session.
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

    /// Appends new inputs to `out`, and the time that the session has reached with them.
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

    /// Appends the regular end to `out`.
    pub fn end(mut self, out: &mut Vec<u8>) {
        self.block(Kind::End, &(), out);
    }

    fn block(&mut self, kind: Kind, content: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
        let start = out.len();
        out.push(kind as u8);
        out.extend([0; FRONT - 1]);
        encode::append(out, content).expect("the content of these files can be encoded");
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

impl Recording {
    /// The bytes of a whole file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Self { head, base, from, inputs, until } = self;
        let mut encoder = Encoder::begin(head, base.as_deref(), *from, Time::ZERO, &mut out);
        encoder.add(inputs, until.0, &mut out);
        encoder.end(&mut out);
        out
    }

    /// Reads a whole file. The bytes may come from anywhere.
    ///
    /// # Errors
    /// [`RecordingError::Truncated`] if the file has no regular end, and everything else that is wrong with
    /// it.
    pub fn decode(file: &[u8]) -> Result<Self, RecordingError> {
        match Self::decode_part(file)? {
            (recording, None) => Ok(recording),
            (_, Some(error)) => Err(error.into()),
        }
    }

    /// Reads the part of a file that is whole. The bytes may come from anywhere.
    ///
    /// The second value says why the part is not all: the recorder still runs or was stopped, or the end of
    /// the file was lost.
    ///
    /// # Errors
    /// What is wrong with the file, if not even its beginning can be used.
    pub fn decode_part(file: &[u8]) -> Result<(Self, Option<TruncatedError>), RecordingError> {
        check_mark(MARK, file)?;
        match file.get(MARK.len()) {
            None => return Err(RecordingError::Short),
            Some(&FORMAT) => {}
            Some(&found) => return Err(RecordingError::Format { found, known: FORMAT }),
        }
        let mut blocks = Blocks { file, at: MARK.len() + 1, sum: start() };
        let (mut recording, has_base) = read_head(&mut blocks)?;
        if has_base {
            recording.base = Some(read_base(&mut blocks)?);
        }
        let truncated = read_events(&mut blocks, &mut recording)?;
        recording.check()?;
        Ok((recording, truncated))
    }
}

/// Goes through the blocks of a file.
struct Blocks<'a> {
    file: &'a [u8],
    at: usize,
    sum: [u8; SUM],
}

impl<'a> Blocks<'a> {
    /// The next block and its content.
    fn next(&mut self) -> Result<(Kind, &'a [u8]), TruncatedError> {
        let at = self.at;
        let rest = &self.file[at..];
        if rest.is_empty() {
            return Err(TruncatedError::Open);
        }
        let (torn, damaged) = (TruncatedError::Torn { at }, TruncatedError::Damaged { at });
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

/// Without its first blocks a recording is useless.
fn unusable(error: TruncatedError) -> RecordingError {
    match error {
        TruncatedError::Damaged { .. } => RecordingError::Damaged,
        TruncatedError::Open | TruncatedError::Torn { .. } => RecordingError::Short,
    }
}

/// A recording without base and inputs, and whether a base follows.
fn read_head(blocks: &mut Blocks<'_>) -> Result<(Recording, bool), RecordingError> {
    let (Kind::Head, content) = blocks.next().map_err(unusable)? else {
        return Err(out_of_place());
    };
    let Opening { head, from, time, has_base } = read(content)?;
    let until = (time, from);
    Ok((Recording { head, base: None, from, inputs: Vec::new(), until }, has_base))
}

fn read_base(blocks: &mut Blocks<'_>) -> Result<Arc<[u8]>, RecordingError> {
    match blocks.next().map_err(unusable)? {
        (Kind::Base, content) => Ok(read::<ByteBuf>(content)?.into_vec().into()),
        _ => Err(out_of_place()),
    }
}

/// Reads events up to the end of the file. Says why the end is not a regular one.
fn read_events(
    blocks: &mut Blocks<'_>,
    recording: &mut Recording,
) -> Result<Option<TruncatedError>, RecordingError> {
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
                return Ok(more.then_some(TruncatedError::Damaged { at }));
            }
            Ok(_) => return Err(out_of_place()),
            Err(truncated) => return Ok(Some(truncated)),
        }
    }
}

fn out_of_place() -> RecordingError {
    RecordingError::Content("a block is out of place".to_owned())
}
