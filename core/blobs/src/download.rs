//! Fetching a blob: the client's side.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use teatime_wire::{BlobReply, BlobRequest, Challenge, Digest};

use crate::handle::BlobHandle;
use crate::limits::WINDOW;
use crate::manifest::Manifest;
use crate::space::{Space, name};
use crate::{BlobError, Progress};

/// Fetches a blob. It hands out the content from the beginning to the end, piece by piece, and only after it has
/// checked each piece. After a connection breaks, the next connection continues.
pub struct Download {
    space: Arc<Space>,
    handle: BlobHandle,
    manifest: Option<Manifest>,
    /// The pieces that are wanted and were not handed out yet, in order.
    window: VecDeque<Asked>,
    /// Index of the next chunk to want.
    next: usize,
    /// Requests on this connection that wait for a reply, in order.
    waiting: VecDeque<Digest>,
    handed_out: u64,
    line: Line,
    /// The first message of the connection, until it is sent.
    hello: Option<Bytes>,
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Broken,
    New,
    Greeted,
    Ready,
}

/// A chunk, or the manifest at the beginning.
struct Asked {
    id: Digest,
    length: usize,
    state: State,
}

enum State {
    /// The caller may have it in a cache.
    New,
    /// The server must send it.
    Missing,
    Sent,
    Here(Vec<u8>),
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("handle", &self.handle)
            .field("progress", &self.progress())
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Download {
    /// Starts to fetch the blob of a handle.
    ///
    /// # Errors
    /// [`BlobError::OtherSession`] if the handle was not made in this room with this password.
    pub fn new(space: Arc<Space>, handle: BlobHandle) -> Result<Self, BlobError> {
        if !space.owns(&handle) {
            return Err(BlobError::OtherSession);
        }
        let manifest = Asked { id: handle.root, length: 0, state: State::New };
        Ok(Self {
            space,
            handle,
            manifest: None,
            window: VecDeque::from([manifest]),
            next: 0,
            waiting: VecDeque::new(),
            handed_out: 0,
            line: Line::Broken,
            hello: None,
        })
    }

    /// Starts a connection: the first one, or the next after one broke. The server has said hello with this challenge.
    pub fn connected(&mut self, challenge: &Challenge) {
        self.line = Line::New;
        self.hello = Some(self.space.hello(challenge).into());
        self.waiting.clear();
        for asked in &mut self.window {
            if matches!(asked.state, State::Sent) {
                asked.state = State::Missing;
            }
        }
    }

    /// The name of a piece that the caller may have in a cache. If the caller does not
    /// [supply](Self::supply) it, the server sends it. A caller without a cache need not call this.
    pub fn poll_wanted(&mut self) -> Option<Digest> {
        let asked = self.window.iter_mut().find(|asked| matches!(asked.state, State::New))?;
        asked.state = State::Missing;
        Some(asked.id)
    }

    /// Takes a piece from a cache, as [`received`](Self::received) returned it. Returns false if it is damaged:
    /// the server then sends it.
    pub fn supply(&mut self, id: Digest, sealed: &[u8]) -> bool {
        name(self.space.id(), sealed) == id && self.take_in(id, sealed).is_ok()
    }

    /// The next frame to send.
    pub fn poll_send(&mut self) -> Option<Bytes> {
        match self.line {
            Line::New => {
                self.line = Line::Greeted;
                self.hello.take()
            }
            Line::Ready => {
                let is_missing =
                    |asked: &&mut Asked| matches!(asked.state, State::New | State::Missing);
                let asked = self.window.iter_mut().find(is_missing)?;
                asked.state = State::Sent;
                self.waiting.push_back(asked.id);
                Some(BlobRequest::Get(asked.id).encode().into())
            }
            Line::Broken | Line::Greeted => None,
        }
    }

    /// Takes in a frame from the server. Returns a piece for a cache: its name and its bytes.
    ///
    /// # Errors
    /// Why the transfer cannot continue.
    pub fn received<'a>(
        &mut self,
        frame: &'a [u8],
    ) -> Result<Option<(Digest, &'a [u8])>, BlobError> {
        match BlobReply::decode(frame)? {
            BlobReply::Ready(_) if self.line == Line::Greeted => {
                self.line = Line::Ready;
                Ok(None)
            }
            BlobReply::Content(sealed) => {
                let id = self.answered()?;
                if name(self.space.id(), sealed) != id {
                    return Err(BlobError::WrongBytes);
                }
                self.take_in(id, sealed)?;
                Ok(Some((id, sealed)))
            }
            BlobReply::Unknown(id) if self.answered()? == id => Err(BlobError::Unknown),
            BlobReply::Refused(refused) => {
                let size = self.handle.size;
                Err(BlobError::refused(refused, size, size))
            }
            _ => Err(BlobError::unexpected("it replied without a request")),
        }
    }

    fn answered(&mut self) -> Result<Digest, BlobError> {
        self.waiting.pop_front().ok_or(BlobError::unexpected("it sent a piece without a request"))
    }

    /// Takes in a piece with the right name. Its content may still be wrong, because the client that stored it
    /// may have lied.
    fn take_in(&mut self, id: Digest, sealed: &[u8]) -> Result<(), BlobError> {
        if self.manifest.is_none() {
            let manifest = Manifest::decode(sealed).filter(|one| one.size == self.handle.size);
            self.manifest = Some(manifest.ok_or(BlobError::WrongBytes)?);
            self.window.clear();
            self.ask();
            return Ok(());
        }
        let plain = self.space.open(sealed).ok_or(BlobError::WrongBytes)?;
        let is_it = |asked: &&mut Asked| asked.id == id && !matches!(asked.state, State::Here(_));
        // If a blob repeats a chunk, the cache may have supplied it before the server's reply.
        let Some(asked) = self.window.iter_mut().find(is_it) else { return Ok(()) };
        if plain.len() != asked.length {
            return Err(BlobError::WrongBytes);
        }
        asked.state = State::Here(plain);
        Ok(())
    }

    /// Fills the window.
    fn ask(&mut self) {
        let Some(manifest) = &self.manifest else { return };
        while self.window.len() < WINDOW
            && let Some(id) = manifest.chunks.get(self.next)
        {
            let length = manifest.length_of(self.next);
            self.window.push_back(Asked { id: *id, length, state: State::New });
            self.next += 1;
        }
    }

    /// Takes the next piece of the content, if it has arrived.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let first = self.window.pop_front_if(|asked| matches!(asked.state, State::Here(_)))?;
        let State::Here(plain) = first.state else { return None };
        self.handed_out += plain.len() as u64;
        self.ask();
        Some(plain)
    }

    /// Whether all of the content has been handed out.
    pub fn is_done(&self) -> bool {
        self.manifest.is_some() && self.handed_out == self.handle.size
    }

    /// The progress of the transfer.
    pub fn progress(&self) -> Progress {
        Progress { done: self.handed_out, total: self.handle.size }
    }
}
