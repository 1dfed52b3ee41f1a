//! `teatime reflector`: the server.

use std::io::Write;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use teatime::server::{Server, ServerConfig, SharedBlobs, SharedStorage, TlsFiles};
use teatime_blobs::{MemoryFiles, VaultLimits};
use teatime_store::{
    Config, DiskBlobs, DiskStore, Durability, RealDisk, Retention, Shared, Upkeep,
};

use crate::limits::Limits;
use crate::terminal::{Failure, start_logging};
use crate::units::{age, size};

/// Flags of `teatime reflector`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Address to listen at. Port 0 picks a free port; 0.0.0.0 lets other machines in.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    listen: String,
    /// Print the address as JSON.
    #[arg(long)]
    json: bool,
    /// Use TLS with this certificate (PEM, with its chain). SIGHUP reloads certificate and key.
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
        opened.map_err(|error| Failure::Failed(format!("cannot open the blobs: {error}")))?;
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
    shared.map(Some).map_err(|error| Failure::Failed(format!("{}: {error}", data.display())))
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    start_logging("info");
    let listen = &arguments.listen;
    if let Err(error) = listen.to_socket_addrs() {
        return Err(Failure::Usage(format!(
            "invalid --listen {listen:?}: expected HOST:PORT: {error}"
        )));
    }
    let files = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let tls = files.map(|(certificate, key)| TlsFiles { certificate, key });
    let store = storage(arguments)?;
    let storage = store.clone().map(SharedStorage::new);
    let blobs = Some(blobs(arguments, store.as_ref())?);
    let mut config =
        ServerConfig { workers: arguments.workers, tls, storage, blobs, ..ServerConfig::default() };
    arguments.limits.apply(&mut config.reflector)?;
    // Sessions in memory count as used, so they must leave memory before they are due for deletion.
    let idle = &mut config.reflector.max_idle_time;
    *idle = (*idle).min(arguments.keep_unused.saturating_mul(1_000_000));
    let server = Server::bind(listen.as_str(), config)
        .map_err(|error| Failure::Failed(format!("cannot listen at {listen}: {error}")))?;
    let url = server.url();
    let line = if arguments.json {
        serde_json::json!({ "event": "listening", "url": url }).to_string()
    } else {
        format!("Listening at {url} — stop with Ctrl-C")
    };
    // Standard output may be closed.
    let _ = writeln!(std::io::stdout(), "{line}").and_then(|()| std::io::stdout().flush());
    wait_for_the_end(&server)?;
    server.shutdown();
    // Even if this fails no event is lost that a client has seen; but clients must then assume a loss.
    let closed = store.map_or(Ok(()), |store| store.close());
    closed.map_err(|error| {
        let data = arguments.data.as_deref().unwrap_or_else(|| Path::new("")).display();
        Failure::Failed(format!("{data}: cannot close the sessions: {error}"))
    })
}

/// Waits for SIGINT or SIGTERM. Reloads the certificate at SIGHUP.
fn wait_for_the_end(server: &Server) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let signals = runtime.and_then(|runtime| runtime.block_on(handle_signals(server)));
    signals.map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))
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
