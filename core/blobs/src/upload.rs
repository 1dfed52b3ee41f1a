//! Storing a blob: the client's side.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use teatime_wire::{BlobLimits, BlobReply, BlobRequest, Challenge, Digest};

use crate::handle::BlobHandle;
use crate::limits::{BLOB_CHUNK, MAX_BLOB, WINDOW, counts_as};
use crate::manifest::Manifest;
use crate::space::{Space, name};
use crate::{BlobError, Progress};

/// Stores a blob. It takes the content once, from the beginning to the end, and holds only the chunks that are
/// under way. After a connection breaks, the next connection asks the server which chunks it has, and continues.
pub struct Upload {
    space: Arc<Space>,
    size: u64,
    /// Bytes of the content that were taken in.
    taken: u64,
    /// Bytes of the content that the server has stored.
    stored: u64,
    chunks: Vec<Digest>,
    window: VecDeque<Pending>,
    /// Number of chunks of each offer that waits for a reply.
    offers: VecDeque<usize>,
    line: Line,
    /// The first message of the connection, until it is sent.
    hello: Option<Bytes>,
    /// The limits of the server, once it has sent them.
    limits: Option<BlobLimits>,
    /// Whether the server has no room for it, unless it already has a part of it.
    is_doubtful: bool,
    handle: Option<BlobHandle>,
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Broken,
    /// Nothing was sent.
    New,
    Greeted,
    Ready,
    /// The manifest was sent.
    Closing,
}

/// A chunk under way.
struct Pending {
    id: Digest,
    frame: Bytes,
    length: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Offered,
    Wanted,
    Sent,
    Stored,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("progress", &self.progress())
            .field("line", &self.line)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// Starts to store a blob of this many bytes. It sends no content before the server has said that it has
    /// room.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] if the blob is larger than [`MAX_BLOB`].
    pub fn new(space: Arc<Space>, size: u64) -> Result<Self, BlobError> {
        if size > MAX_BLOB {
            return Err(BlobError::TooLarge { size, most: MAX_BLOB });
        }
        Ok(Self {
            space,
            size,
            taken: 0,
            stored: 0,
            chunks: Vec::new(),
            window: VecDeque::new(),
            offers: VecDeque::new(),
            line: Line::Broken,
            hello: None,
            limits: None,
            is_doubtful: false,
            handle: None,
        })
    }

    /// Starts a connection: the first one, or the next after one broke. The server has said hello with this challenge.
    pub fn connected(&mut self, challenge: &Challenge) {
        self.line = Line::New;
        self.hello = Some(self.space.hello(challenge).into());
        self.offers.clear();
        for chunk in self.window.iter_mut().filter(|chunk| chunk.state != State::Stored) {
            chunk.state = State::New;
        }
    }

    /// Number of bytes that [`push`](Self::push) takes now. 0 if enough is under way, the server has not yet
    /// sent its limits, or the content is complete.
    pub fn wants(&self) -> usize {
        let open = matches!(self.line, Line::Ready) && self.window.len() < WINDOW;
        if !open {
            return 0;
        }
        usize::try_from(self.size - self.taken).unwrap_or(usize::MAX).min(BLOB_CHUNK)
    }

    /// Whether the bytes that are wanted now are the last ones.
    pub fn is_last(&self) -> bool {
        self.size - self.taken <= BLOB_CHUNK as u64
    }

    /// Takes the next bytes of the content: exactly as many as are [wanted](Self::wants).
    pub fn push(&mut self, plain: &[u8]) {
        debug_assert_eq!(plain.len(), self.wants());
        let (id, sealed) = self.space.piece(plain);
        let frame = BlobRequest::Chunk(&sealed).encode().into();
        self.taken += plain.len() as u64;
        self.chunks.push(id);
        self.window.push_back(Pending { id, frame, length: plain.len(), state: State::New });
    }

    /// The next frame to send.
    pub fn poll_send(&mut self) -> Option<Bytes> {
        match self.line {
            Line::New => {
                self.line = Line::Greeted;
                self.hello.take()
            }
            Line::Ready => self.offer().or_else(|| self.send_chunk()).or_else(|| self.finish()),
            Line::Broken | Line::Greeted | Line::Closing => None,
        }
    }

    fn offer(&mut self) -> Option<Bytes> {
        let mut ids = Vec::new();
        for chunk in self.window.iter_mut().filter(|chunk| chunk.state == State::New) {
            chunk.state = State::Offered;
            ids.push(chunk.id);
        }
        if ids.is_empty() {
            return None;
        }
        self.offers.push_back(ids.len());
        Some(BlobRequest::Offer(ids).encode().into())
    }

    fn send_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.window.iter_mut().find(|chunk| chunk.state == State::Wanted)?;
        chunk.state = State::Sent;
        Some(chunk.frame.clone())
    }

    fn finish(&mut self) -> Option<Bytes> {
        if self.taken < self.size || !self.window.is_empty() || self.handle.is_some() {
            return None;
        }
        self.line = Line::Closing;
        Some(BlobRequest::Manifest(&self.manifest()).encode().into())
    }

    fn manifest(&self) -> Vec<u8> {
        Manifest { size: self.size, chunks: self.chunks.clone() }.encode()
    }

    /// Takes in a frame from the server.
    ///
    /// # Errors
    /// Why the transfer cannot continue.
    pub fn received(&mut self, frame: &[u8]) -> Result<(), BlobError> {
        match BlobReply::decode(frame)? {
            BlobReply::Ready(limits) if self.line == Line::Greeted => {
                self.limits = Some(limits);
                if self.size > limits.max_blob {
                    return Err(BlobError::TooLarge { size: self.size, most: limits.max_blob });
                }
                // The server may already have a part of it. The reply to the first offer will show.
                self.is_doubtful = self.taken == 0 && self.counts_as() > limits.room;
                self.line = Line::Ready;
            }
            BlobReply::Wanted(wanted) => self.sort(&wanted)?,
            BlobReply::Stored(id) => {
                let mut sent = self.window.iter_mut();
                let sent = sent.find(|chunk| chunk.state == State::Sent && chunk.id == id);
                let sent =
                    sent.ok_or(BlobError::unexpected("it stored a chunk that was not sent"))?;
                sent.state = State::Stored;
            }
            BlobReply::Complete(root) if self.line == Line::Closing => {
                if root != name(self.space.id(), &self.manifest()) {
                    return Err(BlobError::unexpected("it stored another blob"));
                }
                self.handle = Some(self.space.handle(root, self.size));
                self.line = Line::Ready;
            }
            BlobReply::Unknown(_) if self.line == Line::Closing => {
                return Err(BlobError::Forgotten);
            }
            BlobReply::Refused(refused) => {
                let most = self.limits.map_or(MAX_BLOB, |limits| limits.max_blob);
                return Err(BlobError::refused(refused, self.size, most));
            }
            _ => return Err(BlobError::unexpected("it replied without a request")),
        }
        while let Some(chunk) = self.window.pop_front_if(|chunk| chunk.state == State::Stored) {
            self.stored += chunk.length as u64;
        }
        Ok(())
    }

    /// What the whole blob counts as where room is limited, in bytes.
    fn counts_as(&self) -> u64 {
        let whole = self.size / BLOB_CHUNK as u64;
        let sealed = |length: u64| counts_as(length + self.space.overhead());
        let rest = Some(self.size % BLOB_CHUNK as u64).filter(|rest| *rest > 0);
        let manifest = counts_as(Manifest::length(self.size));
        whole * sealed(BLOB_CHUNK as u64) + rest.map_or(0, sealed) + manifest
    }

    /// Sorts the chunks of the oldest offer into those to send and those that the server has.
    fn sort(&mut self, wanted: &[Digest]) -> Result<(), BlobError> {
        let count = self.offers.pop_front();
        let count = count.ok_or(BlobError::unexpected("it wants chunks that were not offered"))?;
        if std::mem::take(&mut self.is_doubtful) && wanted.len() >= count {
            // The server does not have the first chunks, so it has no part of this blob.
            return Err(BlobError::NoRoom);
        }
        let offered = self.window.iter_mut().filter(|chunk| chunk.state == State::Offered);
        for chunk in offered.take(count) {
            let is_wanted = wanted.contains(&chunk.id);
            chunk.state = if is_wanted { State::Wanted } else { State::Stored };
        }
        Ok(())
    }

    /// The limits of the server, once it has sent them.
    pub fn limits(&self) -> Option<BlobLimits> {
        self.limits
    }

    /// The progress of the transfer.
    pub fn progress(&self) -> Progress {
        Progress { done: self.stored, total: self.size }
    }

    /// The handle of the blob, once it is stored completely.
    pub fn handle(&self) -> Option<BlobHandle> {
        self.handle
    }
}
