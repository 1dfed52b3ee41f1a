//! Stores and fetches blobs, on connections of their own. A transfer opens another connection when one breaks.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use teatime_blobs::limits::{BLOB_CHUNK, WINDOW};
use teatime_blobs::{BlobError, BlobHandle, Download, Progress, Space, Upload};
use teatime_wire::limits::MAX_BLOB_FRAME;
use teatime_wire::{BLOB_PATH, BLOB_SUBPROTOCOL, BlobLimits, CloseReason, Digest};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};

use crate::client::{CONNECT_TIMEOUT, Purpose, Socket, explain, open};
use crate::tls::{Trust, is_about_certificate};

/// The caller is asked at least this often whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// If the server neither answers a request nor takes bytes for this long, the client connects again. Other messages of the
/// server do not count.
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// A transfer fails after this many connections in a row without progress. The pauses between them add up to six seconds,
/// longer than a server needs to restart.
const MAX_FAILURES: u32 = 7;

/// Each pause between connections is twice the one before plus this. The first attempt after a failure comes without a
/// pause.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// How long a request for limits waits for the answer.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// How long closing a connection may take.
const FAREWELL: Duration = Duration::from_millis(500);

const DATA: Purpose =
    Purpose { subprotocol: BLOB_SUBPROTOCOL, read_buffer: BLOB_CHUNK, max_frame: MAX_BLOB_FRAME };

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

/// What both directions have in common.
trait Side {
    fn connected(&mut self);
    fn poll_send(&mut self) -> Option<Bytes>;
    fn received(&mut self, frame: &[u8]) -> Result<(), BlobError>;
    /// Does a piece of work at this end. False if it has nothing to do now.
    fn work(&mut self) -> Result<bool, BlobError>;
    fn is_done(&self) -> bool;
    fn progress(&self) -> Progress;
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
    fn connected(&mut self) {
        self.upload.connected();
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
    fn connected(&mut self) {
        self.0.connected();
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
    fn connected(&mut self) {
        self.download.connected();
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

/// Why a connection ended.
enum Broken {
    /// Another connection may succeed.
    Retry(String),
    /// The server has no room for now.
    Busy(String),
    Fatal(BlobError),
}

impl From<BlobError> for Broken {
    fn from(error: BlobError) -> Self {
        Self::Fatal(error)
    }
}

impl From<WsError> for Broken {
    fn from(error: WsError) -> Self {
        Self::Retry(explain(&error))
    }
}

fn transfer(remote: &Remote, side: &mut dyn Side, watch: &mut Watch<'_>) -> Result<(), BlobError> {
    // If all pieces are at hand, no connection is needed.
    work(side, watch)?;
    if side.is_done() {
        return ask(watch, side.progress());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| local(&error))?.block_on(async {
        let (mut failures, mut done) = (0, side.progress().done);
        let mut pause = Duration::ZERO;
        loop {
            let told: fn(String) -> BlobError;
            let why;
            match connection(remote, side, watch).await {
                Ok(()) => return Ok(()),
                Err(Broken::Fatal(error)) => return Err(error),
                Err(Broken::Retry(reason)) => (told, why) = (BlobError::Unreachable, reason),
                Err(Broken::Busy(reason)) => (told, why) = (BlobError::Busy, reason),
            }
            // The last bytes of the connection may complete the blob.
            work(side, watch)?;
            if side.is_done() {
                return ask(watch, side.progress());
            }
            if side.progress().done > done {
                (failures, pause, done) = (0, Duration::ZERO, side.progress().done);
            }
            failures += 1;
            if failures >= MAX_FAILURES {
                return Err(told(format!("{}: {why}", remote.url)));
            }
            wait(pause, side, watch).await?;
            pause = 2 * pause + PAUSE;
        }
    })
}

async fn wait(pause: Duration, side: &dyn Side, watch: &mut Watch<'_>) -> Result<(), BlobError> {
    let mut rest = pause;
    while !rest.is_zero() {
        ask(watch, side.progress())?;
        let step = rest.min(ASK_EVERY);
        sleep(step).await;
        rest -= step;
    }
    Ok(())
}

/// Does all the work at this end, which may be to check everything that was fetched before.
fn work(side: &mut dyn Side, watch: &mut Watch<'_>) -> Result<(), BlobError> {
    let mut asked = Instant::now();
    while side.work()? {
        if asked.elapsed() >= ASK_EVERY {
            ask(watch, side.progress())?;
            asked = Instant::now();
        }
    }
    Ok(())
}

fn ask(watch: &mut Watch<'_>, progress: Progress) -> Result<(), BlobError> {
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BlobError::Cancelled),
    }
}

async fn connection(
    remote: &Remote,
    side: &mut dyn Side,
    watch: &mut Watch<'_>,
) -> Result<(), Broken> {
    let url = format!("{}{BLOB_PATH}", remote.url);
    let opening = timeout(CONNECT_TIMEOUT, open(&url, &remote.trust, DATA));
    let opened = patiently(opening, Instant::now(), side.progress(), watch).await?;
    let mut socket = match opened {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) if is_about_certificate(&error) => {
            return Err(BlobError::BadCertificate(explain(&error)).into());
        }
        Ok(Err(WsError::Http(answer))) if is_final(answer.status().as_u16()) => {
            let why = format!("{url} answers HTTP {}: not a reflector with blobs", answer.status());
            return Err(BlobError::Unreachable(why).into());
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(Broken::Retry("no answer".into())),
    };
    side.connected();
    // When the server last answered or took bytes.
    let mut silent = Instant::now();
    loop {
        let begun = Instant::now();
        work(side, watch)?;
        // Time spent at this end does not count.
        silent += begun.elapsed();
        let mut has_sent = false;
        while !side.is_done()
            && let Some(frame) = side.poll_send()
        {
            let feed = socket.feed(Message::Binary(frame));
            patiently(feed, silent, side.progress(), watch).await??;
            (silent, has_sent) = (Instant::now(), true);
        }
        patiently(socket.flush(), silent, side.progress(), watch).await??;
        if has_sent {
            silent = Instant::now();
        }
        if side.is_done() {
            // The server has done its part, whether it receives this or not.
            let _ = timeout(FAREWELL, socket.close(None)).await;
            return Ok(());
        }
        let message = patiently(socket.next(), silent, side.progress(), watch).await?;
        if take_in(side, message)? | take_what_is_there(side, &mut socket, watch)? {
            silent = Instant::now();
        }
    }
}

/// Whether an HTTP answer would be the same the next time. Proxies answer 408, 425 and 429 only for a while.
fn is_final(status: u16) -> bool {
    matches!(status, 400..500) && !matches!(status, 408 | 425 | 429)
}

/// Waits for the server, which has been silent since `silent`. Asks the caller meanwhile whether to go on.
async fn patiently<T>(
    what: impl Future<Output = T>,
    silent: Instant,
    progress: Progress,
    watch: &mut Watch<'_>,
) -> Result<T, Broken> {
    let mut what = std::pin::pin!(what);
    while silent.elapsed() < SILENCE {
        ask(watch, progress)?;
        if let Ok(done) = timeout(ASK_EVERY, &mut what).await {
            return Ok(done);
        }
    }
    Err(Broken::Retry("the server no longer answers".into()))
}

/// Takes in the messages that have arrived with the last read, at most as many as there can be replies. Then it is time to
/// send again.
fn take_what_is_there(
    side: &mut dyn Side,
    socket: &mut Socket,
    watch: &mut Watch<'_>,
) -> Result<bool, Broken> {
    let mut has_answered = false;
    for _ in 0..2 * WINDOW {
        let Some(message) = socket.next().now_or_never() else { break };
        has_answered |= take_in(side, message)?;
        // Pieces are passed on before more than a window of them waits.
        work(side, watch)?;
        ask(watch, side.progress())?;
    }
    Ok(has_answered)
}

/// Whether it was an answer.
fn take_in(side: &mut dyn Side, message: Option<Result<Message, WsError>>) -> Result<bool, Broken> {
    match message {
        Some(Ok(Message::Binary(frame))) => {
            side.received(&frame)?;
            Ok(true)
        }
        Some(Ok(Message::Close(close))) => {
            let told = close.and_then(|close| CloseReason::read(close.code.into(), &close.reason));
            Err(match told {
                Some((reason, detail)) if !reason.is_retryable() => {
                    Broken::Fatal(BlobError::Closed(format!("{reason} ({detail})")))
                }
                Some((CloseReason::Full, _)) => Broken::Busy(CloseReason::Full.to_string()),
                Some((reason, _)) => Broken::Retry(reason.to_string()),
                None => Broken::Retry("the connection broke".into()),
            })
        }
        Some(Ok(_)) => Ok(false),
        Some(Err(error)) => Err(error.into()),
        None => Err(Broken::Retry("the connection broke".into())),
    }
}

#[cfg(test)]
mod tests;
