//! The reflectors that are measured. Each runs in a process of its own, which is this program again.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use teatime::server::{ReflectorConfig, Server, ServerConfig, SharedBlobs, SharedStorage};
use teatime_blobs::VaultLimits;
use teatime_store::{Config, DiskBlobs, DiskStore, Durability, Shared};

use crate::failure::Failure;
use crate::usage::{cpu_of_process, memory_kib};

/// Runs the reflector under load until standard input ends.
pub(crate) fn serve_load() -> Result<(), Failure> {
    let mut reflector = ReflectorConfig::default();
    reflector.send_limits.per_second = 1_000_000;
    reflector.send_limits.burst = 1_000_000;
    (reflector.bytes_per_second, reflector.byte_burst) = (u64::MAX, u64::MAX);
    // The clients of the load have no model and cannot supply snapshots.
    reflector.snapshot_after_events = u64::MAX;
    reflector.snapshot_after_bytes = u64::MAX;
    reflector.log_limit_bytes = 1 << 40;
    serve_with(ServerConfig { reflector, workers: 1, ..ServerConfig::default() })
}

/// Runs a reflector that stores sessions and blobs in `directory` until standard input ends.
pub(crate) fn serve_blobs(directory: &Path) -> Result<(), Failure> {
    let durability = Durability::Process;
    let store = DiskStore::open_dir(directory, Config { durability, ..Config::default() })?;
    let storage = SharedStorage::new(Shared::with_threads(store, None)?);
    let files = DiskBlobs::open_dir(directory, durability)?;
    let blobs = SharedBlobs::open(files, VaultLimits::ON_DISK)?;
    serve_with(ServerConfig {
        storage: Some(storage),
        blobs: Some(blobs),
        ..ServerConfig::default()
    })
}

/// Prints the address that it listens at, and serves until standard input ends.
fn serve_with(config: ServerConfig) -> Result<(), Failure> {
    let server = Server::bind("127.0.0.1:0", config)?;
    println!("{}", server.local_addr());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A process with a reflector. It ends when this is dropped.
pub(crate) struct Served {
    process: Child,
    address: SocketAddr,
}

impl Served {
    /// Runs a hidden subcommand of this program, with its directory, until it prints the address.
    pub(crate) fn start(subcommand: &str, directory: Option<&Path>) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(subcommand)
            .args(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().parse()?;
        Ok(Self { process, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Seconds of CPU that the process has used.
    pub(crate) fn cpu(&self) -> f64 {
        cpu_of_process(self.process.id()).unwrap_or(f64::NAN)
    }

    pub(crate) fn memory_kib(&self) -> f64 {
        memory_kib(self.process.id()).map_or(f64::NAN, |kib| kib as f64)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It ends by itself when its input does; this is quicker.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
