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

use crate::Failure;

/// Flags of `teatime reflector`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one. 0.0.0.0 lets other machines in.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    listen: String,
    /// Print the address as a line of JSON.
    #[arg(long)]
    json: bool,
    /// Speak TLS with this certificate (PEM, followed by those that vouch for it). SIGHUP reads
    /// certificate and key anew.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Keep sessions in this directory, so that they outlive this program: whoever was in one goes on
    /// where it was when it is started again.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What an event survives once somebody has seen it: the end of this program however it comes
    /// (process), or also a power cut (power), which costs a write to the disk each time.
    #[arg(long, value_name = "WHAT", default_value = "process", requires = "data")]
    durability: Survives,
    /// Remove sessions in which nobody was for so long, such as 90d, 12h or never.
    #[arg(long, value_name = "TIME", default_value = "365d", requires = "data", value_parser = age)]
    keep_unused: u64,
    /// Once the sessions need more bytes than this, such as 20G or 500M, remove those in which nobody is,
    /// those first in which nobody was for longest. By default only the disk is the limit: otherwise whoever
    /// begins many sessions could drive those of others out.
    #[arg(long, value_name = "SIZE", default_value = "unlimited", requires = "data", value_parser = size)]
    max_bytes: u64,
    /// The largest blob that is taken, such as 100M [default: 1G with --data, otherwise 64M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_blob: Option<u64>,
    /// Bytes that the blobs of one room may take, such as 1G [default: 4G with --data, otherwise 128M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_room_blobs: Option<u64>,
    /// Bytes that all blobs may take; each piece counts as 4 KiB at least [default: what --keep-free leaves with
    /// --data, otherwise 256M].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_blobs: Option<u64>,
    /// Bytes of the disk that blobs leave free, so that sessions can be stored.
    #[arg(long, value_name = "SIZE", default_value = "1G", requires = "data", value_parser = size)]
    keep_free: u64,
    /// Threads that serve sessions; 0 stands for one per processor, four at most.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
}

/// What an event survives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Survives {
    Process,
    Power,
}

/// How often sessions are looked at that nobody uses, at most and at least.
const UPKEEP: std::ops::RangeInclusive<u64> = 1..=300;

/// Seconds, from a number with a unit.
fn age(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    quantity(text, "never", &units).ok_or_else(|| "neither 365d, 12h, 30m, 10s nor never".into())
}

/// Bytes, from a number with a unit.
fn size(text: &str) -> Result<u64, String> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40), ("", 1)];
    quantity(text, "unlimited", &units)
        .ok_or_else(|| "neither 20G, 500M, 4096 nor unlimited".into())
}

fn quantity(text: &str, unlimited: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == unlimited {
        return Some(u64::MAX);
    }
    let (number, unit) = units.iter().find_map(|(name, unit)| {
        let number: u64 = text.strip_suffix(name)?.parse().ok()?;
        Some((number, unit))
    })?;
    number.checked_mul(*unit)
}

impl Arguments {
    fn durability(&self) -> Durability {
        match self.durability {
            Survives::Process => Durability::Process,
            Survives::Power => Durability::Power,
        }
    }
}

/// Where blobs are kept. The store of the directory is open: nobody else uses it.
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
        opened.map_err(|error| Failure::Failed(format!("the blobs cannot be opened: {error}")))?;
    let Some(store) = store.cloned() else { return Ok(opened) };
    Ok(opened.of_sessions(move || store.infos().iter().map(|info| info.key.holder()).collect()))
}

/// Where sessions are kept.
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
    crate::start_logging("info");
    let listen = &arguments.listen;
    if let Err(error) = listen.to_socket_addrs() {
        return Err(Failure::Usage(format!("--listen {listen:?} is no HOST:PORT: {error}")));
    }
    let files = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let tls = files.map(|(certificate, key)| TlsFiles { certificate, key });
    let store = storage(arguments)?;
    let storage = store.clone().map(SharedStorage::new);
    let blobs = Some(blobs(arguments, store.as_ref())?);
    let mut config =
        ServerConfig { workers: arguments.workers, tls, storage, blobs, ..ServerConfig::default() };
    // What is in memory counts as used.
    let idle = &mut config.reflector.max_idle_time;
    *idle = (*idle).min(arguments.keep_unused.saturating_mul(1_000_000));
    let server = Server::bind(listen.as_str(), config)
        .map_err(|error| Failure::Failed(format!("cannot listen at {listen}: {error}")))?;
    let url = server.url();
    let line = if arguments.json {
        serde_json::json!({ "event": "listening", "url": url }).to_string()
    } else {
        format!("Reflecting at {url} — stop with Ctrl-C")
    };
    // Whoever started it need not listen.
    let _ = writeln!(std::io::stdout(), "{line}").and_then(|()| std::io::stdout().flush());
    wait_for_the_end(&server)?;
    server.shutdown();
    // Nothing that anybody was told is lost; but clients will not take that for granted.
    let closed = store.map_or(Ok(()), |store| store.close());
    closed.map_err(|error| {
        let data = arguments.data.as_deref().unwrap_or_else(|| Path::new("")).display();
        Failure::Failed(format!("{data}: the sessions could not be closed: {error}"))
    })
}

/// Waits for SIGINT or SIGTERM; at SIGHUP reads the certificate anew.
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
                Ok(()) => tracing::info!("certificate and key were read anew"),
                Err(error) => tracing::error!(%error, "the old certificate stays"),
            },
        }
    }
}

#[cfg(not(unix))]
async fn handle_signals(_: &Server) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
