//! A blob on its way down.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use teatime_wire::{BlobReply, BlobRequest, Digest};

use crate::handle::BlobHandle;
use crate::limits::WINDOW;
use crate::manifest::Manifest;
use crate::space::{Space, name};
use crate::upload::hello;
use crate::{BlobError, Progress};

/// A blob on its way down: hands out its content from the beginning to the end, piece by piece, each of them
/// proved to be what was stored. When a connection breaks, the next goes on where it was.
pub struct Download {
    space: Arc<Space>,
    handle: BlobHandle,
    manifest: Option<Manifest>,
    /// What was asked for and not handed out, in order.
    window: VecDeque<Asked>,
    /// The next chunk to ask for.
    next: usize,
    /// Requests on this connection that were not answered, in order.
    waiting: VecDeque<Digest>,
    handed_out: u64,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Broken,
    New,
    Greeted,
    Ready,
}

/// A chunk, or the manifest before there is one.
struct Asked {
    id: Digest,
    length: usize,
    state: State,
}

enum State {
    /// To be looked for nearby.
    New,
    /// To be asked of the server.
    Missing,
    Sent,
    Here(Vec<u8>),
}

impl Download {
    /// The blob behind a handle.
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
        })
    }

    /// A connection stands, the first one or another.
    pub fn connected(&mut self) {
        self.line = Line::New;
        self.waiting.clear();
        for asked in &mut self.window {
            if matches!(asked.state, State::Sent) {
                asked.state = State::Missing;
            }
        }
    }

    /// A piece that may be nearby: answer with [`supply`](Self::supply), or it is asked of the server.
    /// Whoever keeps nothing nearby need not call this.
    pub fn poll_wanted(&mut self) -> Option<Digest> {
        let asked = self.window.iter_mut().find(|asked| matches!(asked.state, State::New))?;
        asked.state = State::Missing;
        Some(asked.id)
    }

    /// A piece that was nearby, as the server would send it. False if it is not what it should be: then
    /// it is asked of the server.
    pub fn supply(&mut self, id: Digest, sealed: &[u8]) -> bool {
        name(self.space.id(), sealed) == id && self.take_in(id, sealed).is_ok()
    }

    /// The next frame to send, if there is one.
    pub fn poll_send(&mut self) -> Option<Bytes> {
        match self.line {
            Line::New => {
                self.line = Line::Greeted;
                Some(hello(&self.space))
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

    /// Takes in a frame from the server. Returns what a cache may keep: the name of a piece, and the piece.
    ///
    /// # Errors
    /// Whatever makes it useless to go on.
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
            _ => Err(BlobError::unexpected("a reply to no request")),
        }
    }

    fn answered(&mut self) -> Result<Digest, BlobError> {
        self.waiting.pop_front().ok_or(BlobError::unexpected("it sends what was not asked for"))
    }

    /// A piece that has the right name. What is in it may still be wrong: whoever stored it may have lied.
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
        // Where a blob repeats itself, what was nearby may have come before what was asked for.
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

    /// The next piece of the content, if it is there.
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

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress { done: self.handed_out, total: self.handle.size }
    }
}
