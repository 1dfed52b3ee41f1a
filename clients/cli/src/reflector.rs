//! `teatime reflector`: the server.

use std::io::Write;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use teatime::server::{Server, ServerConfig, SharedStorage, TlsFiles};
use teatime_store::{Config, DiskStore, Durability, Shared};

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

/// Where sessions are kept.
fn storage(arguments: &Arguments) -> Result<Option<SharedStorage>, Failure> {
    let Some(data) = &arguments.data else { return Ok(None) };
    let durability = match arguments.durability {
        Survives::Process => Durability::Process,
        Survives::Power => Durability::Power,
    };
    let config = Config { durability, ..Config::default() };
    let store = DiskStore::open_dir(data, config)
        .map_err(|error| Failure::Failed(format!("{}: {error}", data.display())))?;
    Ok(Some(SharedStorage::new(Shared::new(store))))
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
    let storage = storage(arguments)?;
    let config =
        ServerConfig { workers: arguments.workers, tls, storage, ..ServerConfig::default() };
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
    Ok(())
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
