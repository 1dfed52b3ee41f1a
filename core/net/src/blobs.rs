//! Stores and fetches blobs, on connections of their own. A transfer opens another connection when one breaks.

mod line;

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use teatime_blobs::{BlobError, BlobHandle, Download, Progress, Space, Upload};
use teatime_wire::{BlobLimits, Challenge, Digest};
use tokio_tungstenite::tungstenite::Bytes;

use crate::tls::Trust;
use line::{Side, transfer};

/// How long a request for limits waits for the answer.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// The server of blobs.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The address of the reflector, such as `ws://127.0.0.1:9090`.
    pub url: String,
    /// The certificates to trust.
    pub trust: Trust,
}

/// Gets the progress of a transfer and says whether to go on. It is called at least ten times a second, unless source or
/// target take longer.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Pieces of blobs at hand, sealed as the server has them.
pub trait Nearby {
    /// A piece, if it is at hand. It may be damaged.
    fn look_up(&mut self, id: &Digest) -> Option<Vec<u8>>;

    /// Offers a piece for later use.
    fn keep(&mut self, id: &Digest, piece: &[u8]);

    /// Reports that a piece is damaged.
    fn discard(&mut self, id: &Digest);
}

/// No pieces at hand.
impl Nearby for () {
    fn look_up(&mut self, _: &Digest) -> Option<Vec<u8>> {
        None
    }

    fn keep(&mut self, _: &Digest, _: &[u8]) {}

    fn discard(&mut self, _: &Digest) {}
}

/// Stores the content of a source, which must have exactly `size` bytes, and returns its handle. It blocks until the
/// transfer ends. After a failure, a later transfer of the same content does not send again what has arrived.
///
/// # Errors
/// Why the blob could not be stored whole.
pub fn store(
    remote: &Remote,
    space: &Arc<Space>,
    size: u64,
    source: &mut dyn Read,
    watch: &mut Watch<'_>,
) -> Result<BlobHandle, BlobError> {
    let upload = Upload::new(space.clone(), size)?;
    let mut storing = Storing { upload, source, buffer: Vec::new() };
    if size == 0 {
        storing.expect_end()?;
    }
    transfer(remote, &mut storing, watch)?;
    storing.upload.handle().ok_or(BlobError::Unknown)
}

/// Fetches a blob and writes it to a target from its beginning. Each piece is checked before it is written. So after an error
/// the target has a beginning of the blob and nothing else. It blocks until the transfer ends.
///
/// # Errors
/// Why the blob could not be fetched whole.
pub fn fetch(
    remote: &Remote,
    space: &Arc<Space>,
    handle: BlobHandle,
    nearby: &mut dyn Nearby,
    target: &mut dyn Write,
    watch: &mut Watch<'_>,
) -> Result<(), BlobError> {
    let download = Download::new(space.clone(), handle)?;
    let mut fetching = Fetching { download, nearby, target };
    transfer(remote, &mut fetching, watch)?;
    fetching.target.flush().map_err(|error| local(&error))
}

/// What the server accepts for this room now. Gives up after ten seconds.
///
/// # Errors
/// Why the server could not be asked.
pub fn limits(remote: &Remote, space: &Arc<Space>) -> Result<BlobLimits, BlobError> {
    let mut asking = Asking(Upload::new(space.clone(), 0)?);
    let begun = Instant::now();
    let asked = transfer(remote, &mut asking, &mut |_| match begun.elapsed() < PATIENCE {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    });
    asked.map_err(|error| match error {
        BlobError::Cancelled => BlobError::Unreachable(format!("{}: no answer", remote.url)),
        error => error,
    })?;
    asking.0.limits().ok_or(BlobError::Unknown)
}

struct Storing<'a> {
    upload: Upload,
    source: &'a mut dyn Read,
    buffer: Vec<u8>,
}

impl Storing<'_> {
    fn wrong_size(&self) -> BlobError {
        BlobError::WrongSize(self.upload.progress().total)
    }

    fn expect_end(&mut self) -> Result<(), BlobError> {
        loop {
            match self.source.read(&mut [0]) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(self.wrong_size()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(local(&error)),
            }
        }
    }
}

impl Side for Storing<'_> {
    fn connected(&mut self, challenge: &Challenge) {
        self.upload.connected(challenge);
    }

    fn poll_send(&mut self) -> Option<Bytes> {
        self.upload.poll_send()
    }

    fn received(&mut self, frame: &[u8]) -> Result<(), BlobError> {
        self.upload.received(frame)
    }

    fn work(&mut self) -> Result<bool, BlobError> {
        let wanted = self.upload.wants();
        if wanted == 0 {
            return Ok(false);
        }
        self.buffer.resize(wanted, 0);
        self.source.read_exact(&mut self.buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.wrong_size(),
            _ => local(&error),
        })?;
        if self.upload.is_last() {
            self.expect_end()?;
        }
        self.upload.push(&self.buffer);
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.upload.handle().is_some()
    }

    fn progress(&self) -> Progress {
        self.upload.progress()
    }
}

/// Joins the room, and gets the limits.
struct Asking(Upload);

impl Side for Asking {
    fn connected(&mut self, challenge: &Challenge) {
        self.0.connected(challenge);
    }

    fn poll_send(&mut self) -> Option<Bytes> {
        self.0.poll_send()
    }

    fn received(&mut self, frame: &[u8]) -> Result<(), BlobError> {
        self.0.received(frame)
    }

    fn work(&mut self) -> Result<bool, BlobError> {
        Ok(false)
    }

    fn is_done(&self) -> bool {
        self.0.limits().is_some()
    }

    fn progress(&self) -> Progress {
        self.0.progress()
    }
}

struct Fetching<'a> {
    download: Download,
    nearby: &'a mut dyn Nearby,
    target: &'a mut dyn Write,
}

impl Side for Fetching<'_> {
    fn connected(&mut self, challenge: &Challenge) {
        self.download.connected(challenge);
    }

    fn poll_send(&mut self) -> Option<Bytes> {
        self.download.poll_send()
    }

    fn received(&mut self, frame: &[u8]) -> Result<(), BlobError> {
        if let Some((id, piece)) = self.download.received(frame)? {
            self.nearby.keep(&id, piece);
        }
        Ok(())
    }

    fn work(&mut self) -> Result<bool, BlobError> {
        if let Some(id) = self.download.poll_wanted() {
            if let Some(piece) = self.nearby.look_up(&id)
                && !self.download.supply(id, &piece)
            {
                self.nearby.discard(&id);
            }
            return Ok(true);
        }
        let Some(piece) = self.download.take() else { return Ok(false) };
        self.target.write_all(&piece).map_err(|error| local(&error))?;
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.download.is_done()
    }

    fn progress(&self) -> Progress {
        self.download.progress()
    }
}

fn local(error: &std::io::Error) -> BlobError {
    BlobError::Local(error.to_string())
}

#[cfg(test)]
mod tests;
