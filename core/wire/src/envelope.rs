//! The snapshot envelope: a state as a client hands it in, with what the reflector must know about it.
//!
//! It is the MessagePack array `[state, persisted, roots, space]`. A vote is a vote on its bytes, so there is one
//! encoding only: a reader refuses every other one, and every byte behind the end.

use std::ops::Range;

use rmp::{decode, encode};

use crate::{Digest, limits};

/// What surrounds a state. A reflector cannot read states, but it can read this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the root model has persisted, if anything.
    pub persisted: Option<PersistedPart>,
    /// The blobs that the state refers to, in ascending order, each once. Never sealed.
    pub roots: Vec<Digest>,
    /// The blob space that all roots belong to. For any other room the roots mean nothing.
    pub space: Digest,
}

/// What the root model has persisted, as a client hands it in. The version of the app that has persisted it is that
/// of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedPart {
    /// Sealed if the session has a password. At least one byte.
    pub data: Vec<u8>,
    /// The blobs that it refers to, in ascending order, each once. Never sealed.
    pub roots: Vec<Digest>,
}

/// Why bytes are not a valid snapshot envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Something else stands in this place, or it is encoded in another way, or cut short.
    #[error("invalid snapshot envelope: expected {0} in its shortest encoding")]
    Expected(&'static str),
    /// A list of blob roots does not ascend.
    #[error("invalid snapshot envelope: blob roots must ascend, and each stands once")]
    RootOrder,
    /// A part exceeds its limit.
    #[error("invalid snapshot envelope: {0} exceeds its limit")]
    TooLarge(&'static str),
    /// Bytes follow the envelope.
    #[error("invalid snapshot envelope: {0} bytes follow its end")]
    Trailing(usize),
}

/// An array of four, and the longest header of a byte string.
const LONGEST_HEAD: usize = 1 + LONGEST_HEADER;
/// The longest header of an array or a byte string.
const LONGEST_HEADER: usize = 5;
/// A digest: the header of a byte string of 32, and these.
const DIGEST: usize = 2 + 32;

impl Envelope {
    /// The bytes in front of a state of this length.
    ///
    /// # Panics
    /// If the state has 2³² bytes or more: none may exceed [`limits::MAX_SNAPSHOT`].
    pub fn head(state_length: usize) -> Vec<u8> {
        let mut head = Vec::with_capacity(LONGEST_HEAD);
        array(&mut head, 4);
        binary(&mut head, state_length);
        head
    }

    /// The bytes behind the state.
    pub fn tail(&self) -> Vec<u8> {
        let part = self
            .persisted
            .as_ref()
            .map_or(0, |part| 1 + part.data.len() + part.roots.len() * DIGEST + 2 * LONGEST_HEADER);
        let mut tail = Vec::with_capacity(part + (self.roots.len() + 1) * DIGEST + LONGEST_HEADER);
        match &self.persisted {
            None => encode::write_nil(&mut tail).expect("a Vec takes every byte"),
            Some(part) => {
                array(&mut tail, 2);
                binary(&mut tail, part.data.len());
                tail.extend_from_slice(&part.data);
                digests(&mut tail, &part.roots);
            }
        }
        digests(&mut tail, &self.roots);
        digest(&mut tail, &self.space);
        tail
    }

    /// The whole envelope around a state.
    pub fn wrap(&self, state: &[u8]) -> Vec<u8> {
        [&*Self::head(state.len()), state, &*self.tail()].concat()
    }

    /// Reads an envelope that has arrived in parts. Returns where in it the state is, and what surrounds the
    /// state. The state itself is not copied.
    ///
    /// # Errors
    /// If the parts together are anything but the one encoding of an envelope within its limits.
    pub fn open(parts: &[impl AsRef<[u8]>]) -> Result<(Range<usize>, Self), EnvelopeError> {
        let total: usize = parts.iter().map(|part| part.as_ref().len()).sum();
        let head = copy(parts, 0..total.min(LONGEST_HEAD));
        let mut reader = Reader(&head);
        reader.array_of(4, "an array of four")?;
        let length = reader.length("the state as a byte string")?;
        let start = head.len() - reader.0.len();
        let end = start.checked_add(length).filter(|end| *end <= total);
        let end = end.ok_or(EnvelopeError::Expected("the whole state"))?;
        if total - end > longest_tail(length) {
            return Err(EnvelopeError::TooLarge("what follows the state"));
        }
        let tail = copy(parts, end..total);
        let mut reader = Reader(&tail);
        let persisted = reader.persisted()?;
        let roots = reader.roots(length)?;
        let space = reader.digest()?;
        match reader.0.len() {
            0 => Ok((start..end, Self { persisted, roots, space })),
            more => Err(EnvelopeError::Trailing(more)),
        }
    }
}

/// Most bytes behind a state of this length, so that nothing longer is copied.
const fn longest_tail(state_length: usize) -> usize {
    let persisted = 1 + 2 * LONGEST_HEADER + limits::MAX_PERSISTED;
    let persisted_roots = limits::MAX_PERSISTED / limits::MIN_BYTES_PER_ROOT * DIGEST;
    let roots = LONGEST_HEADER + state_length / limits::MIN_BYTES_PER_ROOT * DIGEST;
    persisted + persisted_roots + roots + DIGEST
}

/// These bytes of all parts together.
fn copy(parts: &[impl AsRef<[u8]>], range: Range<usize>) -> Vec<u8> {
    let mut copied = Vec::with_capacity(range.len());
    let mut start = 0;
    for part in parts.iter().map(AsRef::as_ref) {
        let end = start + part.len();
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            copied.extend_from_slice(&part[from - start..to - start]);
        }
        start = end;
    }
    copied
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn persisted(&mut self) -> Result<Option<PersistedPart>, EnvelopeError> {
        if let Some(rest) = self.0.strip_prefix(&[0xc0]) {
            self.0 = rest;
            return Ok(None);
        }
        self.array_of(2, "nil, or an array of two")?;
        let length = self.length("persisted data as a byte string")?;
        if length == 0 {
            return Err(EnvelopeError::Expected("persisted data"));
        }
        if length > limits::MAX_PERSISTED {
            return Err(EnvelopeError::TooLarge("the persisted data"));
        }
        let data = self.0.split_off(..length).ok_or(EnvelopeError::Expected("persisted data"))?;
        let roots = self.roots(length)?;
        Ok(Some(PersistedPart { data: data.to_vec(), roots }))
    }

    /// The roots of blobs that so few bytes can refer to.
    fn roots(&mut self, bytes: usize) -> Result<Vec<Digest>, EnvelopeError> {
        let count = self.canonical(decode::read_array_len, array, "an array of blob roots")?;
        if count as usize > bytes / limits::MIN_BYTES_PER_ROOT {
            return Err(EnvelopeError::TooLarge("the number of blob roots"));
        }
        let roots = (0..count).map(|_| self.digest()).collect::<Result<Vec<_>, _>>()?;
        if roots.is_sorted_by(|one, next| one < next) {
            Ok(roots)
        } else {
            Err(EnvelopeError::RootOrder)
        }
    }

    fn digest(&mut self) -> Result<Digest, EnvelopeError> {
        let expected = EnvelopeError::Expected("a digest of 32 bytes");
        let rest = self.0.strip_prefix(&[0xc4, 32]).ok_or(expected)?;
        let (digest, rest) = rest.split_first_chunk().ok_or(expected)?;
        self.0 = rest;
        Ok(Digest(*digest))
    }

    fn array_of(&mut self, count: u32, what: &'static str) -> Result<(), EnvelopeError> {
        let found = self.canonical(decode::read_array_len, array, what)?;
        if found == count { Ok(()) } else { Err(EnvelopeError::Expected(what)) }
    }

    fn length(&mut self, what: &'static str) -> Result<usize, EnvelopeError> {
        let write = |bytes: &mut Vec<u8>, length: u32| binary(bytes, length as usize);
        Ok(self.canonical(decode::read_bin_len, write, what)? as usize)
    }

    /// Reads a length, which must stand there as `write` would write it.
    fn canonical<E>(
        &mut self,
        read: impl FnOnce(&mut &'a [u8]) -> Result<u32, E>,
        write: impl FnOnce(&mut Vec<u8>, u32),
        what: &'static str,
    ) -> Result<u32, EnvelopeError> {
        let mut rest = self.0;
        let value = read(&mut rest).map_err(|_| EnvelopeError::Expected(what))?;
        let mut shortest = Vec::with_capacity(LONGEST_HEADER);
        write(&mut shortest, value);
        if self.0[..self.0.len() - rest.len()] != shortest {
            return Err(EnvelopeError::Expected(what));
        }
        self.0 = rest;
        Ok(value)
    }
}

fn array(bytes: &mut Vec<u8>, count: u32) {
    encode::write_array_len(bytes, count).expect("a Vec takes every byte");
}

fn binary(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("no state has 2³² bytes");
    encode::write_bin_len(bytes, length).expect("a Vec takes every byte");
}

fn digest(bytes: &mut Vec<u8>, digest: &Digest) {
    binary(bytes, digest.0.len());
    bytes.extend_from_slice(&digest.0);
}

fn digests(bytes: &mut Vec<u8>, all: &[Digest]) {
    array(bytes, u32::try_from(all.len()).expect("a state has fewer than 2³² handles"));
    all.iter().for_each(|one| digest(bytes, one));
}
