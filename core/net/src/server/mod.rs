//! A reflector on real sockets: one port for WebSocket and the health check.

mod accept;
mod addresses;
mod admin;
#[cfg(feature = "blobs")]
mod blobs;
mod callers;
mod clients;
mod descriptors;
mod frame;
mod handshake;
mod inbox;
mod librarian;
mod listen;
#[cfg(feature = "blobs")]
mod news;
mod slots;
mod storage;
mod stream;
#[cfg(all(test, feature = "tls"))]
mod tests;
mod token;
mod worker;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(feature = "blobs")]
pub use blobs::SharedBlobs;
#[cfg(feature = "storage")]
pub use storage::SharedStorage;
pub use teatime_reflector::storage::{Storage, StorageError};
pub use teatime_reflector::{Allowance, Config as ReflectorConfig};
use teatime_reflector::{Budget, Greeter};
pub use token::Token;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::tls::{CertificateError, Identity};
use accept::Workers;
use addresses::Addresses;
use callers::Callers;
use librarian::{BlobThread, Librarian, OptionalBlobs};
use listen::{listen, own_address};
use storage::OptionalStorage;

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
    /// How long a new connection may take until its request is complete, or the client hello of TLS.
    pub request_timeout: Duration,
    /// How many handshakes may be under way at once. A new connection ends the oldest of them if there are more.
    pub max_handshakes: usize,
    /// How many of them may come from one IPv4 address, or from one /64 of IPv6.
    pub max_handshakes_per_address: usize,
    /// How much is read of one IPv4 address, or one /64 of IPv6, over all its connections. More is read later.
    pub address_allowance: Allowance,
    /// Whether limits of addresses hold for this machine, too. All its programs have the same address, and a proxy on it
    /// serves many clients.
    pub limit_loopback: bool,
    /// Which web pages may connect: their origins, such as `https://app.example`, or `*` for all. Other requests with an
    /// `Origin` are refused. Native clients send none.
    pub allowed_origins: Vec<String>,
    /// By which names other than `localhost` clients may call a server that listens at a loopback address: those of a proxy
    /// on this machine that passes the `Host` header on.
    pub allowed_hosts: Vec<String>,
    /// By this the server proves to programs that know the token that it is the one they expect.
    pub token: Option<Token>,
    /// Whether only clients can connect that know the token: the paths of their requests begin with it.
    pub is_private: bool,
    /// Where the operator gets `/healthz`, apart from everything that clients do.
    pub admin: Option<SocketAddr>,
    /// How many files and sockets this process may have open. The server leaves an eighth of them, at most 32, to its storage
    /// and to the operator, and accepts no more connections then. Only on Unix.
    pub max_descriptors: Option<u64>,
    /// With this the server speaks only TLS.
    pub tls: Option<TlsFiles>,
    /// Where sessions are stored. Without this they end with the server.
    ///
    /// An `Option<SharedStorage>`. Without the feature `storage` it is `()`.
    pub storage: OptionalStorage,
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
            request_timeout: Duration::from_secs(2),
            max_handshakes: 1_000,
            // A school or a company has one address, and a whole session may come back at once.
            max_handshakes_per_address: 250,
            // Ten busy clients, or a thousand that publish twenty times a second.
            address_allowance: Allowance {
                frames_per_second: 40_000,
                frame_burst: 200_000,
                bytes_per_second: 64 * 1024 * 1024,
                byte_burst: 256 * 1024 * 1024,
            },
            limit_loopback: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            token: None,
            is_private: false,
            admin: None,
            max_descriptors: None,
            tls: None,
            storage: OptionalStorage::default(),
            blobs: OptionalBlobs::default(),
        }
    }
}

/// A running server. Dropping it shuts it down.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    /// What the path begins with if the server is private.
    token: Option<Token>,
    tls: Option<(TlsFiles, Identity)>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that listens at `address`; port 0 picks a free one. It runs on threads of
    /// its own.
    pub fn bind(address: impl ToSocketAddrs, config: ServerConfig) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let admin = config.admin.map(listen).transpose()?;
        let admin_address = admin.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
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
        let addresses = Addresses::new(config.address_allowance);
        let budget = Budget::new(storage::read_shares(&config.storage));
        let mut threads = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..workers {
            let (sender, arrivals) = mpsc::unbounded_channel();
            senders.push(sender);
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            let (config, stopped) = (config.clone(), stopped.clone());
            let librarian = librarian.clone();
            let shared = (addresses.clone(), budget.clone());
            threads.push(spawn("teatime-reflect", move || {
                worker::run(config, seed, arrivals, librarian, shared, stopped)
            })?);
        }
        let shared = (addresses, budget.shares().clone());
        let (blobs, thread) = BlobThread::start(&config, &librarian, shared, stopped.clone())?;
        threads.extend(thread);
        let shares = budget.shares().clone();
        threads.extend(storage::keep_shares(&config.storage, shares, stopped.clone())?);
        if let Some(listener) = admin {
            let (callers, stopped) = (Callers::of(&config, admin_address), stopped.clone());
            threads.push(spawn("teatime-admin", move || admin::run(listener, callers, stopped))?);
        }
        let workers = Workers { sessions: senders, blobs };
        let token = config.token.clone().filter(|_| config.is_private);
        let identity = tls.as_ref().map(|(_, identity)| identity.clone());
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        threads.push(spawn("teatime-accept", move || {
            accept::run(listener, config, (identity, Greeter::new(seed)), workers, stopped)
        })?);
        Ok(Self { address, admin: admin_address, token, tls, stop, threads })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the operator gets `/healthz`, if that was asked for.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Reads certificate and key again: new connections get them, existing ones go on. If they
    /// are not valid the old ones stay. Does nothing without TLS.
    pub fn reload_tls(&self) -> Result<(), CertificateError> {
        match &self.tls {
            Some((files, identity)) => identity.reload(&files.certificate, &files.key),
            None => Ok(()),
        }
    }

    /// Where clients reach it: `ws://HOST:PORT`, or `wss:` with TLS, and the token of a private server. If it listens on all addresses, this names the one by
    /// which this machine reaches others, because others most likely reach it there. Without a network it is the loopback one.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(own_address(address.is_ipv6()));
        }
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let token = self.token.as_ref().map(|token| format!("/{}", token.as_str()));
        format!("{scheme}://{address}{}", token.unwrap_or_default())
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

/// Runs a task on a thread and a single-threaded runtime of its own.
fn spawn<F: Future<Output = ()> + 'static>(
    name: &str,
    task: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_boxed(name, Box::new(|| -> BoxedFuture { Box::pin(task()) }))
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Boxed, because the code of a thread and of a runtime would otherwise be there once for each task.
fn spawn_boxed(
    name: &str,
    task: Box<dyn FnOnce() -> BoxedFuture + Send>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || LocalSet::new().block_on(&runtime, async move { task().await }))
}
