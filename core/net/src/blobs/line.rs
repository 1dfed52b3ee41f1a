//! The connections of a transfer: another one follows when one breaks.

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use teatime_blobs::limits::{BLOB_CHUNK, WINDOW};
use teatime_blobs::{BlobError, Progress};
use teatime_wire::limits::MAX_BLOB_FRAME;
use teatime_wire::{
    BLOB_PATH, BLOB_SUBPROTOCOL, Challenge, ChannelBinding, CloseReason, Greeting, ServerMessage,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};

use super::{Remote, Watch, local};
use crate::client::{CONNECT_TIMEOUT, Purpose, Socket, explain, no_answer, open};
use crate::dial::Dialer;
use crate::tls::is_about_certificate;

/// The caller is asked at least this often whether to go on.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(100);

/// If the server neither answers a request nor takes bytes for this long, the client connects again. Other messages of the
/// server do not count.
pub(super) const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// A transfer fails after this many connections in a row without progress. The pauses between them add up to six seconds,
/// longer than a server needs to restart.
pub(super) const MAX_FAILURES: u32 = 7;

/// Each pause between connections is twice the one before plus this. The first attempt after a failure comes without a
/// pause.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// How long closing a connection may take.
const FAREWELL: Duration = Duration::from_millis(500);

const DATA: Purpose =
    Purpose { subprotocol: BLOB_SUBPROTOCOL, read_buffer: BLOB_CHUNK, max_frame: MAX_BLOB_FRAME };

/// What both directions have in common.
pub(super) trait Side {
    fn connected(&mut self, challenge: &Challenge);
    fn poll_send(&mut self) -> Option<Bytes>;
    fn received(&mut self, frame: &[u8]) -> Result<(), BlobError>;
    /// Does a piece of work at this end. False if it has nothing to do now.
    fn work(&mut self) -> Result<bool, BlobError>;
    fn is_done(&self) -> bool;
    fn progress(&self) -> Progress;
}

/// Why a connection ended.
pub(super) enum Broken {
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

/// Connects, as often as necessary, until the side is done.
pub(super) fn transfer(
    remote: &Remote,
    side: &mut dyn Side,
    watch: &mut Watch<'_>,
) -> Result<(), BlobError> {
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

/// One connection: it ends when the side is done.
pub(super) async fn connection(
    remote: &Remote,
    side: &mut dyn Side,
    watch: &mut Watch<'_>,
) -> Result<(), Broken> {
    let (dialer, url) = (Dialer::of_system(), format!("{}{BLOB_PATH}", remote.url));
    let opening = timeout(CONNECT_TIMEOUT, open(&dialer, &url, &remote.trust, DATA));
    let opened = patiently(opening, Instant::now(), side.progress(), watch).await?;
    let (mut socket, channel) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) if is_about_certificate(&error) => {
            return Err(BlobError::BadCertificate(explain(&error)).into());
        }
        Ok(Err(WsError::Http(answer))) if is_final(answer.status().as_u16()) => {
            let why = format!("{url} answers HTTP {}: not a reflector with blobs", answer.status());
            return Err(BlobError::Unreachable(why).into());
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(Broken::Retry(no_answer(&dialer, &url))),
    };
    let progress = side.progress();
    let hello = hear_hello(side, &mut socket, channel);
    let challenge = patiently(hello, Instant::now(), progress, watch).await??;
    side.connected(&challenge);
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

/// Waits for what the server says first. Returns what the client must sign.
async fn hear_hello(
    side: &mut dyn Side,
    socket: &mut Socket,
    channel: Option<ChannelBinding>,
) -> Result<Challenge, Broken> {
    loop {
        let message = match socket.next().await {
            Some(Ok(Message::Binary(frame))) => {
                let greeting = ServerMessage::decode(&frame).map_err(BlobError::from)?;
                let ServerMessage::Hello(Greeting { nonce, binds_channel }) = greeting else {
                    return Err(BlobError::Protocol("expected a hello".into()).into());
                };
                if binds_channel && channel.is_none() {
                    let why =
                        "the reflector expects a TLS connection of its own: use its wss:// address";
                    let why = format!("{} ({why})", CloseReason::BadProof);
                    return Err(BlobError::Closed(why).into());
                }
                return Ok(Challenge { nonce, channel: channel.filter(|_| binds_channel) });
            }
            other => other,
        };
        // Control frames, a farewell, or the end.
        take_in(side, message)?;
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
