//! How fast a client stores and fetches blobs, how much memory both sides take, and how much slower events
//! of a session become meanwhile.
//!
//! The reflector runs in a process of its own and stores the blobs on disk. The client is this process.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teatime::Driver;
use teatime::blobs::Blobs;
use teatime_chat::ChatOptions;

use crate::failure::Failure;
use crate::server::Served;
use crate::statistics::median;
use crate::usage::{forget_peak, peak_memory_kib};

/// Size of a blob in bytes.
const BYTES: u64 = 100_000_000;

/// The folder in which the reflectors store. It is removed at the very end: some file systems create files
/// slowly just after many were removed, and the next measurement would pay for that.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("teatime-bench-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that repeat nowhere and are cheap to make.
struct Content {
    seed: u64,
    at: u64,
    block: Vec<u8>,
}

const BLOCK: u64 = 1 << 16;

impl Content {
    fn new(seed: u64) -> Self {
        Self { seed, at: 0, block: (0..BLOCK).map(|at| ((at * at) >> 5) as u8).collect() }
    }

    /// The next bytes, at most up to the end of a block.
    fn next(&mut self, most: usize) -> &[u8] {
        let (number, within) = (self.at / BLOCK, (self.at % BLOCK) as usize);
        self.block[..8].copy_from_slice(&(number ^ (self.seed << 32)).to_le_bytes());
        let rest = usize::try_from(BYTES - self.at).unwrap_or(usize::MAX).min(most);
        let end = (within + rest).min(self.block.len());
        self.at += (end - within) as u64;
        &self.block[within..end]
    }
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(into.len());
        into[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

/// Compares the bytes written to it with its own.
impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let expected = self.next(bytes.len());
        if expected.is_empty() || !bytes.starts_with(expected) {
            return Err(io::Error::other("the fetched blob differs from the stored one"));
        }
        Ok(expected.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long events take in a session, without and beside transfers on the same reflector.
fn beside(directory: &Path, quick: bool) -> Result<Value, Failure> {
    let served = Served::start("serve-blobs", Some(directory))?;
    let config = teatime_chat::config("bench", &ChatOptions::default())?;
    let blobs = Blobs::new(&config, &served.url())?;
    let mut driver = Driver::join(config, &served.url(), Arc::new(|| {}))?;
    let number = if quick { 50 } else { 300 };
    let alone = round_trips(&mut driver, number)?;
    let stop = AtomicBool::new(false);
    let (beside, transferred) = std::thread::scope(|scope| {
        let transfers = scope.spawn(|| {
            let mut bytes = 0;
            let go_on = &mut |_| match stop.load(Ordering::Relaxed) {
                false => ControlFlow::Continue(()),
                true => ControlFlow::Break(()),
            };
            for round in 0.. {
                let stored = blobs.store_from(BYTES, &mut Content::new(round), go_on);
                let Ok(handle) = stored else { break };
                if blobs.fetch_into(handle, &mut Content::new(round), go_on).is_err() {
                    break;
                }
                bytes += 2 * BYTES;
            }
            bytes
        });
        let beside = round_trips(&mut driver, number);
        stop.store(true, Ordering::Relaxed);
        (beside, transfers.join())
    });
    let beside = beside?;
    let at = |times: &[f64], part: f64| times.get((times.len() as f64 * part) as usize).copied();
    Ok(json!({
        "work": "an event and back, alone and beside a transfer",
        "alone_ms_p50": at(&alone, 0.5), "alone_ms_p99": at(&alone, 0.99),
        "beside_ms_p50": at(&beside, 0.5), "beside_ms_p99": at(&beside, 0.99),
        "transferred_mb": transferred.unwrap_or_default() / 1_000_000,
    }))
}

/// Milliseconds until the sender has simulated its own event, in ascending order.
fn round_trips(driver: &mut Driver, number: usize) -> Result<Vec<f64>, Failure> {
    let mut times = Vec::new();
    let patience = Instant::now() + Duration::from_secs(60);
    while times.len() < number {
        if Instant::now() > patience {
            return Err("the session makes no progress".into());
        }
        let post = teatime_chat::Post { text: "tea".into() };
        let started = Instant::now();
        let sent = driver.publish("input", "newPost", &post);
        loop {
            driver.wait(Duration::from_millis(1));
            driver.step(Duration::from_millis(100));
            while driver.poll_event().is_some() {}
            match sent {
                Ok(receipt) if !driver.is_applied(receipt) => {}
                Ok(_) => {
                    times.push(started.elapsed().as_secs_f64() * 1e3);
                    break;
                }
                // The client has not joined yet, or sent too fast.
                Err(_) => break,
            }
            if Instant::now() > patience {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Measures both directions, without and with a password.
pub(crate) fn run(quick: bool) -> Result<Vec<Value>, Failure> {
    let rounds = if quick { 1 } else { 5 };
    let folder = Folder::new();
    std::fs::create_dir(&folder.0)?;
    let in_it = |name: &str| folder.0.join(name);
    Ok(vec![
        measure(&in_it("open"), None, rounds)?,
        measure(&in_it("sealed"), Some("sesame"), rounds)?,
        beside(&in_it("beside"), quick)?,
    ])
}

fn measure(directory: &Path, password: Option<&str>, rounds: u64) -> Result<Value, Failure> {
    let served = Served::start("serve-blobs", Some(directory))?;
    let config = teatime_chat::config("bench", &ChatOptions::default())?;
    let blobs = Blobs::new(&config.password(password), &served.url())?;
    let go_on = &mut |_| ControlFlow::Continue(());
    // Hashing the password takes memory once: not part of what is measured.
    blobs.store(b"first")?;
    let processes = [std::process::id(), served.process_id()];
    let before = processes.map(|process| {
        forget_peak(process)?;
        peak_memory_kib(process)
    });
    let (mut stored, mut fetched) = (Vec::new(), Vec::new());
    let per_second = |started: Instant| BYTES as f64 / 1e6 / started.elapsed().as_secs_f64();
    for round in 0..rounds {
        let started = Instant::now();
        let handle = blobs.store_from(BYTES, &mut Content::new(round), go_on)?;
        stored.push(per_second(started));
        let started = Instant::now();
        blobs.fetch_into(handle, &mut Content::new(round), go_on)?;
        fetched.push(per_second(started));
    }
    let grown =
        |which: usize| Some(peak_memory_kib(processes[which])?.saturating_sub(before[which]?));
    Ok(json!({
        "work": "a blob of 100 MB",
        "password": password.is_some(),
        "stored_mb_per_s": median(stored).round(),
        "fetched_mb_per_s": median(fetched).round(),
        "mb_per_s_wanted_at_least": 200,
        "client_memory_kib": grown(0),
        "server_memory_kib": grown(1),
    }))
}
