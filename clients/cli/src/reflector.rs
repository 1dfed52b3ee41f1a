//! `teatime reflector`: the server.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use teatime::server::{Server, ServerConfig, SharedBlobs, SharedStorage, TlsFiles};
use teatime_blobs::{MemoryFiles, VaultLimits};
use teatime_store::{
    Config, DiskBlobs, DiskStore, Durability, Error, RealDisk, Retention, Shared, Upkeep,
};

use crate::addresses::{Way, ways};
use crate::limits::Limits;
use crate::terminal::{Failure, print, start_logging};
use crate::units::{age, size};

/// Flags of `teatime reflector`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Address to listen at. Port 0 picks a free port; 0.0.0.0 lets other machines in.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    listen: String,
    /// Answer GET /healthz at this address, too, whatever clients do at the other one. Only the operator should reach
    /// it.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Let web pages of this origin connect, such as https://app.example, or * for all. May be given several times.
    /// Programs that are not web pages need no permission.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Another name by which clients may call this reflector if it listens at a loopback address: the name of a proxy on
    /// this machine that passes the Host header on. May be given several times.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Print the address as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Use TLS with this certificate (PEM, with its chain). SIGHUP reloads certificate and key. Clients must then reach the
    /// reflector without a proxy that ends TLS in between.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Store sessions and blobs in this directory, so that sessions continue after a restart. Without it they are lost
    /// when the reflector ends.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What every event survives that a client has seen: a crash of the reflector (process), or also a power cut
    /// (power), which is slower.
    #[arg(long, value_name = "WHAT", default_value = "process", requires = "data")]
    durability: Survives,
    /// Delete sessions unused for this long, such as 90d, 12h or never.
    #[arg(long, value_name = "TIME", default_value = "365d", requires = "data", value_parser = age)]
    keep_unused: u64,
    /// Most bytes of all sessions, such as 20G or 500M. Beyond it, sessions without participants are deleted, the
    /// longest unused first. Unlimited by default, because a client that starts many sessions could otherwise displace
    /// those of others.
    #[arg(long, value_name = "SIZE", default_value = "unlimited", requires = "data", value_parser = size)]
    max_bytes: u64,
    /// Largest blob, such as 100M [default: 1G with --data, otherwise 64M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_blob: Option<u64>,
    /// Most bytes of all blobs of a room, such as 1G [default: 4G with --data, otherwise 128M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_room_blobs: Option<u64>,
    /// Most bytes of all blobs; a chunk counts as at least 4 KiB [default: up to --keep-free with --data, otherwise
    /// 256M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_blobs: Option<u64>,
    /// Disk space that blobs leave free for sessions.
    #[arg(long, value_name = "SIZE", default_value = "1G", requires = "data", value_parser = size)]
    keep_free: u64,
    #[command(flatten)]
    limits: Limits,
    /// Number of threads that serve sessions. 0: one per processor, at most four.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
}

/// What an event survives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Survives {
    /// A crash of the reflector.
    Process,
    /// Also a power cut.
    Power,
}

/// Least and most seconds between two searches for unused sessions.
const UPKEEP: std::ops::RangeInclusive<u64> = 1..=300;

impl Arguments {
    /// Browsers send an origin without a path. So another form would never fit.
    fn check_origins(&self) -> Result<(), Failure> {
        let is_origin = |text: &str| {
            let host = text.split_once("://").map(|(_, host)| host);
            text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        match self.allow_origin.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(origin) => Err(Failure::Usage(format!(
                "invalid --allow-origin {origin:?}: expected SCHEME://HOST or SCHEME://HOST:PORT without a path, such as https://app.example, or *"
            ))),
        }
    }

    fn durability(&self) -> Durability {
        match self.durability {
            Survives::Process => Durability::Process,
            Survives::Power => Durability::Power,
        }
    }
}

/// Storage for blobs. The store of the directory is already open, so no other process uses the directory.
fn blobs(arguments: &Arguments, store: Option<&Shared<RealDisk>>) -> Result<SharedBlobs, Failure> {
    let standard = match &arguments.data {
        Some(_) => VaultLimits::ON_DISK,
        None => VaultLimits::IN_MEMORY,
    };
    let limits = VaultLimits {
        max_blob: arguments.max_blob.unwrap_or(standard.max_blob),
        max_space: arguments.max_room_blobs.unwrap_or(standard.max_space),
        max_total: arguments.max_blobs.unwrap_or(standard.max_total),
        reserve: if arguments.data.is_some() { arguments.keep_free } else { 0 },
        ..standard
    };
    let opened = match &arguments.data {
        Some(data) => DiskBlobs::open_dir(data, arguments.durability())
            .and_then(|files| SharedBlobs::open(files, limits)),
        None => SharedBlobs::open(MemoryFiles::default(), limits),
    };
    let opened =
        opened.map_err(|error| Failure::Failed("IO", format!("cannot open the blobs: {error}")))?;
    let Some(store) = store.cloned() else { return Ok(opened) };
    Ok(opened.of_sessions(move || store.infos().iter().map(|info| info.key.holder()).collect()))
}

/// Storage for sessions, if the user wants any.
fn storage(arguments: &Arguments) -> Result<Option<Shared<RealDisk>>, Failure> {
    let Some(data) = &arguments.data else { return Ok(None) };
    let config = Config { durability: arguments.durability(), ..Config::default() };
    let Arguments { keep_unused, max_bytes, .. } = *arguments;
    let retention = Retention { max_age_unused: keep_unused, max_bytes };
    let every = Duration::from_secs((keep_unused / 16).clamp(*UPKEEP.start(), *UPKEEP.end()));
    let store = DiskStore::open_dir(data, config);
    let shared =
        store.and_then(|store| Shared::with_threads(store, Some(Upkeep { retention, every })));
    let failed =
        |error: Error| Failure::Failed(error.code(), format!("{}: {error}", data.display()));
    shared.map(Some).map_err(failed)
}

/// The file in the directory that says which address has stored how much.
const SHARES: &str = "SHARES";

/// The storage as the server uses it.
fn shared(store: Shared<RealDisk>, data: Option<&Path>) -> SharedStorage {
    let storage = SharedStorage::new(store.clone());
    let Some(data) = data else { return storage };
    storage.with_shares(data.join(SHARES), move || {
        store.infos().iter().map(|info| (info.key.holder(), info.bytes)).collect()
    })
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    start_logging("info");
    let listen = &arguments.listen;
    resolve("--listen", listen)?;
    let admin = arguments.admin.as_deref().map(|admin| resolve("--admin", admin)).transpose()?;
    arguments.check_origins()?;
    let files = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let tls = files.map(|(certificate, key)| TlsFiles { certificate, key });
    let store = storage(arguments)?;
    let storage = store.clone().map(|store| shared(store, arguments.data.as_deref()));
    let blobs = Some(blobs(arguments, store.as_ref())?);
    let mut config = ServerConfig {
        workers: arguments.workers,
        tls,
        storage,
        blobs,
        admin,
        allowed_origins: arguments.allow_origin.clone(),
        allowed_hosts: arguments.allow_host.clone(),
        max_descriptors: crate::descriptors::limit(),
        ..ServerConfig::default()
    };
    arguments.limits.apply(&mut config)?;
    // Sessions in memory count as used, so they must leave memory before they are due for deletion.
    let idle = &mut config.reflector.max_idle_time;
    *idle = (*idle).min(arguments.keep_unused.saturating_mul(1_000_000));
    let server = Server::bind(listen.as_str(), config).map_err(|error| {
        let admin = arguments.admin.iter().map(|admin| format!(" and {admin}"));
        let admin: String = admin.collect();
        Failure::Failed("IO", format!("cannot listen at {listen}{admin}: {error}"))
    })?;
    print(&listening(&server, arguments.json))?;
    wait_for_the_end(&server)?;
    server.shutdown();
    // Even if this fails no event is lost that a client has seen; but clients must then assume a loss.
    let closed = store.map_or(Ok(()), |store| store.close());
    closed.map_err(|error| {
        let data = arguments.data.as_deref().unwrap_or_else(|| Path::new("")).display();
        Failure::Failed("NOT_STORED", format!("{data}: cannot close the sessions: {error}"))
    })
}

/// The address of a flag.
fn resolve(flag: &str, address: &str) -> Result<SocketAddr, Failure> {
    let invalid = |why: String| {
        Failure::Usage(format!("invalid {flag} {address:?}: expected HOST:PORT: {why}"))
    };
    let mut all = address.to_socket_addrs().map_err(|error| invalid(error.to_string()))?;
    all.next().ok_or_else(|| invalid("the name has no address".into()))
}

/// What the user learns about the addresses.
fn listening(server: &Server, json: bool) -> String {
    let (mut url, admin) = (server.url(), server.admin_addr());
    let mut others = ways(server.local_addr(), &url);
    if !others.is_empty() {
        url = others.remove(0).url;
    }
    let admin = admin.map(|admin| format!("http://{admin}"));
    if json {
        let mut line = json!({ "event": "listening", "url": url });
        if let Some(admin) = admin {
            line["admin"] = admin.into();
        }
        if !others.is_empty() {
            let way = |way: &Way| json!({ "interface": way.interface, "url": way.url });
            line["also"] = others.iter().map(way).collect();
        }
        return line.to_string();
    }
    let admin = admin.map_or_else(String::new, |admin| format!(", {admin}/healthz for you"));
    let others: String =
        others.iter().map(|way| format!(", also at {} ({})", way.url, way.interface)).collect();
    let only = if server.local_addr().ip().is_loopback() { ", for this machine only" } else { "" };
    format!("Listening at {url}{others}{admin}{only} — stop with Ctrl-C")
}

/// Waits for SIGINT or SIGTERM. Reloads the certificate at SIGHUP.
fn wait_for_the_end(server: &Server) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = runtime.and_then(|runtime| runtime.block_on(handle_signals(server)));
    signals.map_err(|error| Failure::Failed("IO", format!("cannot wait for signals: {error}")))
}

#[cfg(unix)]
async fn handle_signals(server: &Server) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => match server.reload_tls() {
                Ok(()) => tracing::info!("reloaded certificate and key"),
                Err(error) => tracing::error!(%error, "cannot reload certificate and key; the old ones stay in use"),
            },
        }
    }
}

#[cfg(not(unix))]
async fn handle_signals(_: &Server) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
