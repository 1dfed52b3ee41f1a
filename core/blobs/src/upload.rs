//! A blob on its way up.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use teatime_wire::{BLOB_VERSION, BlobLimits, BlobReply, BlobRequest, Digest, Hello};

use crate::handle::BlobHandle;
use crate::limits::{BLOB_CHUNK, MAX_BLOB, WINDOW, counts_as};
use crate::manifest::Manifest;
use crate::space::{Space, name};
use crate::{BlobError, Progress};

/// A blob on its way up: takes its content once, from the beginning to the end, and holds no more of it than
/// what is under way. When a connection breaks, the next goes on where it was: the server is asked which
/// chunks it has.
pub struct Upload {
    space: Arc<Space>,
    size: u64,
    /// How many bytes of the content have been taken in.
    taken: u64,
    /// How many of them are known to be kept.
    kept: u64,
    chunks: Vec<Digest>,
    window: VecDeque<Pending>,
    /// How many chunks each offer that was not answered has.
    offers: VecDeque<usize>,
    line: Line,
    /// What the server takes, once it has said so.
    limits: Option<BlobLimits>,
    /// There is no room for it, unless something of it is there already.
    is_doubtful: bool,
    handle: Option<BlobHandle>,
}

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Broken,
    /// It stands, and nothing has been said.
    New,
    Greeted,
    Ready,
    /// The manifest is on its way.
    Closing,
}

/// A chunk that is not known to be kept.
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
    Kept,
}

impl Upload {
    /// A blob of so many bytes. Nothing is sent before it is known that the server takes it.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] if no server does.
    pub fn new(space: Arc<Space>, size: u64) -> Result<Self, BlobError> {
        if size > MAX_BLOB {
            return Err(BlobError::TooLarge { size, most: MAX_BLOB });
        }
        Ok(Self {
            space,
            size,
            taken: 0,
            kept: 0,
            chunks: Vec::new(),
            window: VecDeque::new(),
            offers: VecDeque::new(),
            line: Line::Broken,
            limits: None,
            is_doubtful: false,
            handle: None,
        })
    }

    /// A connection stands, the first one or another.
    pub fn connected(&mut self) {
        self.line = Line::New;
        self.offers.clear();
        for chunk in self.window.iter_mut().filter(|chunk| chunk.state != State::Kept) {
            chunk.state = State::New;
        }
    }

    /// How many of the next bytes of the content [`push`](Self::push) takes now: exactly so many. 0 if
    /// none, because enough is under way, or the server has not said that it takes them, or there are no more.
    pub fn wants(&self) -> usize {
        let open = matches!(self.line, Line::Ready) && self.window.len() < WINDOW;
        if !open {
            return 0;
        }
        usize::try_from(self.size - self.taken).unwrap_or(usize::MAX).min(BLOB_CHUNK)
    }

    /// Whether what is wanted now is the rest of the content.
    pub fn is_last(&self) -> bool {
        self.size - self.taken <= BLOB_CHUNK as u64
    }

    /// Takes the next bytes of the content, as many as are [wanted](Self::wants).
    pub fn push(&mut self, plain: &[u8]) {
        debug_assert_eq!(plain.len(), self.wants());
        let (id, sealed) = self.space.piece(plain);
        let frame = BlobRequest::Chunk(&sealed).encode().into();
        self.taken += plain.len() as u64;
        self.chunks.push(id);
        self.window.push_back(Pending { id, frame, length: plain.len(), state: State::New });
    }

    /// The next frame to send, if there is one.
    pub fn poll_send(&mut self) -> Option<Bytes> {
        match self.line {
            Line::New => {
                self.line = Line::Greeted;
                Some(hello(&self.space))
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
    /// Whatever makes it useless to go on.
    pub fn received(&mut self, frame: &[u8]) -> Result<(), BlobError> {
        match BlobReply::decode(frame)? {
            BlobReply::Ready(limits) if self.line == Line::Greeted => {
                self.limits = Some(limits);
                if self.size > limits.max_blob {
                    return Err(BlobError::TooLarge { size: self.size, most: limits.max_blob });
                }
                // What is left of it may be there already; only the server can tell.
                self.is_doubtful = self.taken == 0 && self.counts_as() > limits.room;
                self.line = Line::Ready;
            }
            BlobReply::Wanted(wanted) => self.sort(&wanted)?,
            BlobReply::Stored(id) => {
                let mut sent = self.window.iter_mut();
                let sent = sent.find(|chunk| chunk.state == State::Sent && chunk.id == id);
                let sent = sent.ok_or(BlobError::unexpected("it keeps what was not sent"))?;
                sent.state = State::Kept;
            }
            BlobReply::Complete(root) if self.line == Line::Closing => {
                if root != name(self.space.id(), &self.manifest()) {
                    return Err(BlobError::unexpected("it keeps another blob"));
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
            _ => return Err(BlobError::unexpected("a reply to no request")),
        }
        while let Some(chunk) = self.window.pop_front_if(|chunk| chunk.state == State::Kept) {
            self.kept += chunk.length as u64;
        }
        Ok(())
    }

    /// What all of it counts as where room is limited.
    fn counts_as(&self) -> u64 {
        let whole = self.size / BLOB_CHUNK as u64;
        let sealed = |length: u64| counts_as(length + self.space.overhead());
        let rest = Some(self.size % BLOB_CHUNK as u64).filter(|rest| *rest > 0);
        let manifest = counts_as(Manifest::length(self.size));
        whole * sealed(BLOB_CHUNK as u64) + rest.map_or(0, sealed) + manifest
    }

    /// Divides what was offered into what is to be sent and what is there.
    fn sort(&mut self, wanted: &[Digest]) -> Result<(), BlobError> {
        let count = self.offers.pop_front();
        let count = count.ok_or(BlobError::unexpected("it wants what was not offered"))?;
        if std::mem::take(&mut self.is_doubtful) && wanted.len() >= count {
            // It begins with nothing that is there: so nothing of it was ever stored.
            return Err(BlobError::NoRoom);
        }
        let offered = self.window.iter_mut().filter(|chunk| chunk.state == State::Offered);
        for chunk in offered.take(count) {
            let is_wanted = wanted.contains(&chunk.id);
            chunk.state = if is_wanted { State::Wanted } else { State::Kept };
        }
        Ok(())
    }

    /// What the server takes, once it has said so.
    pub fn limits(&self) -> Option<BlobLimits> {
        self.limits
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress { done: self.kept, total: self.size }
    }

    /// What stands for the blob, once it is kept whole.
    pub fn handle(&self) -> Option<BlobHandle> {
        self.handle
    }
}

pub(crate) fn hello(space: &Space) -> Bytes {
    let agent = concat!("teatime-rust/", env!("CARGO_PKG_VERSION"));
    BlobRequest::Hello(Hello { version: BLOB_VERSION, space: space.id(), agent }).encode().into()
}
