//! From an accepted socket to the thread of its session.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use teatime_reflector::Greeter;
use teatime_wire::limits::MAX_CONTROL_FRAMES;
use teatime_wire::{ClientMessage, CloseReason};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ServerConfig;
use super::addresses::Address;
use super::callers::Callers;
use super::descriptors::Reserve;
use super::frame::{self, Incoming};
use super::handshake::{self, Endpoint};
use super::librarian::BlobThread;
use super::slots::{Slot, Slots};
use super::worker::{self, Arrived, FAREWELL};
use crate::tls::{Identity, binding_of, take_apart};

/// What a client hears that has not joined in time.
pub(super) const NO_JOIN: &str = "no join came";

/// The threads that serve connections.
pub(super) struct Workers {
    pub(super) sessions: Vec<mpsc::UnboundedSender<Arrived>>,
    pub(super) blobs: BlobThread,
}

impl Workers {
    /// A thread is gone only when the server shuts down.
    fn send(&self, to: Destination, arrived: Arrived) {
        match to {
            Destination::Session(at) => {
                let _ = self.sessions[at].send(arrived);
            }
            Destination::Blobs => self.blobs.send(arrived),
        }
    }
}

/// Where a connection belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// The thread of its session.
    Session(usize),
    /// That of blobs.
    Blobs,
}

/// What every handshake needs.
struct Entrance {
    workers: Workers,
    identity: Option<Identity>,
    greeter: RefCell<Greeter>,
    callers: Callers,
    slots: Slots,
    reserve: Reserve,
    config: ServerConfig,
}

/// Accepts connections until told to stop. There is always a slot for a new one: the oldest unfinished handshake makes room.
pub(super) async fn run(
    listener: TcpListener,
    config: ServerConfig,
    (identity, greeter): (Option<Identity>, Greeter),
    workers: Workers,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let callers = Callers::of(&config, listener.local_addr().ok());
    let slots = Slots::new(config.max_handshakes, config.max_handshakes_per_address);
    let reserve = Reserve::of(config.max_descriptors);
    let greeter = RefCell::new(greeter);
    let entrance =
        Rc::new(Entrance { workers, identity, greeter, callers, slots, reserve, config });
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let accepted = accepted.and_then(|(stream, peer)| {
            entrance.reserve.check(&stream)?;
            Ok((stream, peer))
        });
        match accepted {
            Ok((stream, peer)) => entrance.begin(stream, peer),
            Err(error) => {
                // Mostly because of too many open files: that passes, and must not end the server.
                failures.report(&error);
                entrance.slots.end_oldest();
                sleep(Failures::PAUSE).await;
            }
        }
    }
}

/// Connections that cannot be accepted. One warning a minute is enough: as long as files are missing, it is 20 a second.
#[derive(Default)]
struct Failures {
    warned: Option<Instant>,
    since: u64,
}

impl Failures {
    /// Between two attempts to accept a connection.
    const PAUSE: Duration = Duration::from_millis(50);

    /// Between two warnings.
    const QUIET: Duration = Duration::from_secs(60);

    fn report(&mut self, error: &io::Error) {
        self.since += 1;
        if self.warned.is_none_or(|warned| warned.elapsed() >= Self::QUIET) {
            let times = std::mem::take(&mut self.since);
            self.warned = Some(Instant::now());
            tracing::warn!(%error, times, "connections cannot be accepted; trying again");
        }
    }
}

impl Entrance {
    fn begin(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let address = Address::of(peer.ip(), self.config.limit_loopback);
        let Some(slot) = self.slots.take(address) else { return };
        let (entrance, id) = (self.clone(), slot.id());
        let task = tokio::task::spawn_local(async move {
            // A connection that breaks off is not a client.
            let _ = entrance.receive(stream, slot, address).await;
        });
        self.slots.set_task(id, task.abort_handle());
    }

    /// Brings a new connection to the thread of its session.
    async fn receive(
        &self,
        mut stream: TcpStream,
        mut slot: Slot,
        address: Option<Address>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let times = Times::from_now(&self.config);
        let ((bytes, to), challenge, tls) = match &self.identity {
            Some(identity) => {
                let accepted = identity.accept(stream, times.request);
                let mut encrypted = timeout_at(times.join, accepted).await??;
                // The client hello was the first sign of life.
                let times = Times { request: times.join, ..times };
                // Only this connection has it. So the join cannot come from a client of another TLS connection.
                let binding = binding_of(&encrypted)?;
                let (challenge, hello) = self.greeter.borrow_mut().greet(Some(binding));
                let first = self.first_message(&mut encrypted, &hello, times).await?;
                let Some(first) = first else { return Ok(()) };
                let layer;
                (stream, layer) = take_apart(encrypted);
                (first, challenge, Some(layer))
            }
            None => {
                let (challenge, hello) = self.greeter.borrow_mut().greet(None);
                let first = self.first_message(&mut stream, &hello, times).await?;
                let Some(first) = first else { return Ok(()) };
                (first, challenge, None)
            }
        };
        slot.finish();
        let arrived = Arrived { stream: stream.into_std()?, address, slot, tls, challenge, bytes };
        self.workers.send(to, arrived);
        Ok(())
    }

    /// Makes a connection a WebSocket, says hello, and reads until its thread is known. Returns what was read, and the thread. A
    /// connection for blobs needs no reading for that. A client that is not ready in time learns so.
    async fn first_message(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        hello: &[u8],
        times: Times,
    ) -> io::Result<Option<(Vec<u8>, Destination)>> {
        let answer = handshake::answer(stream, &self.callers, hello);
        let answered = timeout_at(times.request, answer).await;
        let Ok(answered) = answered else {
            let _ = timeout(FAREWELL, handshake::refuse_slow_request(stream)).await;
            return Ok(None);
        };
        let Some((bytes, endpoint)) = answered? else { return Ok(None) };
        if endpoint == Endpoint::Blobs {
            return Ok(Some((bytes, Destination::Blobs)));
        }
        let mut search = Search::new(bytes, self.workers.sessions.len());
        let found = timeout_at(times.join, search.read(stream)).await;
        let (reason, detail) = match found {
            Ok(Ok(Found::Worker(worker))) => {
                return Ok(Some((search.bytes, Destination::Session(worker))));
            }
            Ok(Ok(Found::End)) => return Ok(None),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Found::Flood)) => (CloseReason::NotJoined, "too much came before the join"),
            Err(_) => (CloseReason::Silent, NO_JOIN),
        };
        let _ = timeout(FAREWELL, handshake::close(stream, reason, detail)).await;
        Ok(None)
    }
}

/// The time limits of a handshake.
#[derive(Clone, Copy)]
struct Times {
    /// Of the request, or of the client hello of TLS.
    request: Instant,
    /// Of the first message.
    join: Instant,
}

impl Times {
    fn from_now(config: &ServerConfig) -> Self {
        let now = Instant::now();
        let join = now + config.handshake_timeout;
        Self { request: join.min(now + config.request_timeout), join }
    }
}

/// The search for the first message of a connection, and so for the thread that it belongs to.
pub(super) struct Search {
    /// What was read, as the thread receives it.
    bytes: Vec<u8>,
    /// How many control frames came before.
    control_frames: usize,
    /// The answers to those that want one.
    replies: BytesMut,
    workers: usize,
}

/// What a search has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Worker(usize),
    /// The client has ended the connection.
    End,
    /// The client sends on and on, and does not join.
    Flood,
}

impl Search {
    pub(super) fn new(bytes: Vec<u8>, workers: usize) -> Self {
        Self { bytes, control_frames: 0, replies: BytesMut::new(), workers }
    }

    async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<Found> {
        loop {
            let found = self.look();
            if !self.replies.is_empty() {
                stream.write_all(&self.replies).await?;
                stream.flush().await?;
                self.replies.clear();
            }
            if let Some(found) = found {
                return Ok(found);
            }
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Ok(Found::End);
            }
        }
    }

    #[cfg(all(test, feature = "tls"))]
    pub(super) fn add(&mut self, byte: u8) -> Option<Found> {
        self.bytes.push(byte);
        self.look()
    }

    /// Which thread a connection belongs to, by the name of the room that its first message wants to join: all versions of
    /// an app meet there, whatever their session and password.
    ///
    /// `None` if that has not arrived whole; any thread if it is not a valid message, because that thread refuses it. What
    /// the transport says before does not count, because all clients of a session must meet on its thread. It is answered here,
    /// and the thread does not get it.
    fn look(&mut self) -> Option<Found> {
        if self.workers == 1 {
            return Some(Found::Worker(0));
        }
        loop {
            match frame::parse(&mut self.bytes, worker::MAX_FRAME) {
                Ok(None) => return None,
                Ok(Some((Incoming::Binary(frame), _))) => {
                    return Some(Found::Worker(match ClientMessage::decode(frame) {
                        Ok(ClientMessage::Join(join, _)) => {
                            usize::from(join.name.0[0]) % self.workers
                        }
                        _ => 0,
                    }));
                }
                Ok(Some((control @ (Incoming::Ping(_) | Incoming::Pong), length))) => {
                    if let Incoming::Ping(payload) = control {
                        frame::write_pong(&mut self.replies, payload);
                    }
                    self.bytes.drain(..length);
                    self.control_frames += 1;
                    if self.control_frames > MAX_CONTROL_FRAMES {
                        return Some(Found::Flood);
                    }
                }
                _ => return Some(Found::Worker(0)),
            }
        }
    }
}
