//! A reflector on real sockets: one port for WebSocket and the health check.

#[cfg(feature = "blobs")]
mod blobs;
mod clients;
mod frame;
mod handshake;
mod librarian;
#[cfg(feature = "blobs")]
mod news;
mod storage;
mod stream;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(feature = "blobs")]
pub use blobs::SharedBlobs;
pub use storage::SharedStorage;
pub use teatime_reflector::Config as ReflectorConfig;
pub use teatime_reflector::storage::{Storage, StorageError};
use teatime_wire::ClientMessage;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::tls::{CertificateError, Identity, take_apart};
use frame::Incoming;
use handshake::Endpoint;
use librarian::{BlobThread, Librarian, OptionalBlobs};
use worker::Arrived;

/// How a server is set.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How it treats sessions and clients.
    pub reflector: ReflectorConfig,
    /// Threads that serve sessions; each session stays on one of them. 0 means one per
    /// processor, at most four: a session uses one, and a server rarely needs more.
    pub workers: usize,
    /// How many bytes may wait for a client that does not read. Above that the server drops the client, which
    /// catches up when it is back.
    pub max_queued_bytes: usize,
    /// How long a handshake may take, the first message included.
    pub handshake_timeout: Duration,
    /// How many handshakes may be under way at once; more wait their turn.
    pub max_handshakes: usize,
    /// With this the server speaks only TLS.
    pub tls: Option<TlsFiles>,
    /// Where sessions are stored. Without this they end with the server.
    pub storage: Option<SharedStorage>,
    /// Where blobs are stored. Without this they are in memory, at most 256 MiB, and end with the server.
    ///
    /// An `Option<SharedBlobs>`. Without the feature `blobs` it is `()`, and the server has no blobs.
    pub blobs: OptionalBlobs,
}

/// The identity of a server, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that sign it.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            reflector: ReflectorConfig::default(),
            workers: 0,
            max_queued_bytes: 4 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: 1_000,
            tls: None,
            storage: None,
            blobs: OptionalBlobs::default(),
        }
    }
}

/// A running server. Dropping it shuts it down.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    tls: Option<(TlsFiles, Identity)>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Connections that the system holds until the server accepts them: a whole session may come back at
/// once.
const BACKLOG: i32 = 4096;

impl Server {
    /// Starts a server that listens at `address`; port 0 picks a free one. It runs on threads of
    /// its own.
    pub fn bind(address: impl ToSocketAddrs, config: ServerConfig) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let tls = match &config.tls {
            Some(files) => {
                let identity = Identity::load(&files.certificate, &files.key).map_err(invalid)?;
                Some((files.clone(), identity))
            }
            None => None,
        };
        let (stop, stopped) = watch::channel(false);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if config.workers == 0 { processors.min(4) } else { config.workers };
        let librarian = Librarian::new();
        let mut threads = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..workers {
            let (sender, arrivals) = mpsc::unbounded_channel();
            senders.push(sender);
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            let (config, stopped) = (config.clone(), stopped.clone());
            let librarian = librarian.clone();
            threads.push(spawn("teatime-reflect", move || {
                worker::run(config, seed, arrivals, librarian, stopped)
            })?);
        }
        let (blobs, thread) = BlobThread::start(&config, &librarian, stopped.clone())?;
        threads.extend(thread);
        let workers = Arc::new(Workers { sessions: senders, blobs });
        let identity = tls.as_ref().map(|(_, identity)| identity.clone());
        threads.push(spawn("teatime-accept", move || {
            accept(listener, config, identity, workers, stopped)
        })?);
        Ok(Self { address, tls, stop, threads })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Reads certificate and key again: new connections get them, existing ones go on. If they
    /// are not valid the old ones stay. Does nothing without TLS.
    pub fn reload_tls(&self) -> Result<(), CertificateError> {
        match &self.tls {
            Some((files, identity)) => identity.reload(&files.certificate, &files.key),
            None => Ok(()),
        }
    }

    /// Where clients reach it: `ws://HOST:PORT`, or `wss:` with TLS. If it listens on all addresses
    /// this names the loopback one.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{address}")
    }

    /// Asks all clients to come back later. Ends when they have received that and the storage has acknowledged everything, or
    /// after a few seconds.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without receivers the threads have ended already.
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the address names no host");
    for address in address.to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    reuse_address(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets a server listen where one has just ended.
#[cfg(unix)]
fn reuse_address(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// On Windows this would let two servers share a port.
#[cfg(not(unix))]
fn reuse_address(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// Runs a task on a thread and a single-threaded runtime of its own.
fn spawn<F: Future<Output = ()>>(
    name: &str,
    task: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || LocalSet::new().block_on(&runtime, async move { task().await }))
}

/// The threads that serve connections.
struct Workers {
    sessions: Vec<mpsc::UnboundedSender<Arrived>>,
    blobs: BlobThread,
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
#[derive(Clone, Copy)]
enum Destination {
    /// The thread of its session.
    Session(usize),
    /// That of blobs.
    Blobs,
}

async fn accept(
    listener: TcpListener,
    config: ServerConfig,
    identity: Option<Identity>,
    workers: Arc<Workers>,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let slots = Arc::new(Semaphore::new(config.max_handshakes));
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&listener, &slots) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (workers, limit) = (workers.clone(), config.handshake_timeout);
                let identity = identity.clone();
                tokio::task::spawn_local(async move {
                    // A connection that is too slow or breaks off is not a client.
                    let _ = timeout(limit, receive(stream, slot, identity, &workers)).await;
                });
            }
            Err(error) => {
                // Mostly because of too many open files: that passes, and must not end the server.
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn accept_one(
    listener: &tokio::net::TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// Brings a new connection to the thread of its session.
async fn receive(
    mut stream: TcpStream,
    slot: OwnedSemaphorePermit,
    identity: Option<Identity>,
    workers: &Workers,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let ((bytes, to), tls) = match identity {
        Some(identity) => {
            let mut encrypted = identity.accept(stream).await?;
            let first = first_message(&mut encrypted, workers.sessions.len()).await?;
            let Some(first) = first else { return Ok(()) };
            let layer;
            (stream, layer) = take_apart(encrypted);
            (first, Some(layer))
        }
        None => {
            let first = first_message(&mut stream, workers.sessions.len()).await?;
            let Some(first) = first else { return Ok(()) };
            (first, None)
        }
    };
    workers.send(to, Arrived { stream: stream.into_std()?, slot, tls, bytes });
    Ok(())
}

/// Makes a connection a WebSocket, and reads until its thread is known. Returns what was read, and the thread. A connection
/// for blobs needs no reading for that.
async fn first_message(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    workers: usize,
) -> io::Result<Option<(Vec<u8>, Destination)>> {
    let Some((mut bytes, endpoint)) = handshake::answer(stream).await? else { return Ok(None) };
    if endpoint == Endpoint::Blobs {
        return Ok(Some((bytes, Destination::Blobs)));
    }
    let mut passed = 0;
    loop {
        if let Some(worker) = worker_of(&bytes, &mut passed, workers) {
            return Ok(Some((bytes, Destination::Session(worker))));
        }
        // A join is never that long, whatever the transport says before it.
        if bytes.len() > 2 * worker::MAX_FRAME || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Which thread a connection belongs to, by the name of the room that its first message wants to join: all
/// versions of an app meet there, whatever their session and password.
/// `None` if that has not arrived whole; any thread if it is not a valid message, because that thread refuses it. What the
/// transport says before does not count, because all clients of a session must meet on its thread: it is skipped,
/// once.
fn worker_of(bytes: &[u8], passed: &mut usize, workers: usize) -> Option<usize> {
    if workers == 1 {
        return Some(0);
    }
    loop {
        let mut rest = bytes[*passed..].to_vec();
        match frame::parse(&mut rest, worker::MAX_FRAME) {
            Ok(None) => return None,
            Ok(Some((Incoming::Binary(frame), _))) => {
                return Some(match ClientMessage::decode(frame) {
                    Ok(ClientMessage::Join(join)) => usize::from(join.room.name.0[0]) % workers,
                    _ => 0,
                });
            }
            Ok(Some((Incoming::Ping(_) | Incoming::Pong, length))) => *passed += length,
            _ => return Some(0),
        }
    }
}
