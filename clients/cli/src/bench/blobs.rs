//! How fast blobs are stored and fetched, in how much memory, and what that costs the sessions beside.
//!
//! The server runs in a process of its own and keeps them on disk; the client is this one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teatime::Driver;
use teatime::blobs::Blobs;
use teatime_chat::ChatOptions;

use super::median;
use super::usage::{forget_peak, peak_memory_kib};
use crate::Failure;

/// Size of a blob in bytes.
const BYTES: u64 = 100_000_000;

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("the benchmark: {error}"))
}

struct Served {
    process: Child,
    url: String,
}

/// What the servers keep. It goes at the very end: some file systems take long to make files when many have
/// just been removed, and what is measured next would pay for that.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        let name = format!("teatime-bench-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Served {
    fn start(directory: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program)
            .args(["reflector", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(failed)?;
        }
        let told: Value = serde_json::from_str(&line).map_err(failed)?;
        let url = told["url"].as_str().unwrap_or_default().to_owned();
        Ok(Self { process, url })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Bytes that are nowhere the same, and cost next to nothing to make.
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

    /// What comes next, up to the end of a block.
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

/// Compares what is written to it.
impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let expected = self.next(bytes.len());
        if expected.is_empty() || !bytes.starts_with(expected) {
            return Err(io::Error::other("what was fetched is not what was stored"));
        }
        Ok(expected.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long events take in a session beside transfers on the same reflector, and without any.
fn beside(directory: &Path, quick: bool) -> Result<Value, Failure> {
    let served = Served::start(directory)?;
    let config = teatime_chat::config("bench", &ChatOptions::default()).map_err(failed)?;
    let data = Blobs::new(&config, &served.url).map_err(failed)?;
    let mut driver = Driver::join(config, &served.url, Arc::new(|| {})).map_err(failed)?;
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
                let stored = data.store_from(BYTES, &mut Content::new(round), go_on);
                let Ok(handle) = stored else { break };
                if data.fetch_into(handle, &mut Content::new(round), go_on).is_err() {
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

/// Milliseconds until events are simulated where they come from, in ascending order.
fn round_trips(driver: &mut Driver, number: usize) -> Result<Vec<f64>, Failure> {
    let mut times = Vec::new();
    let patience = Instant::now() + Duration::from_secs(60);
    while times.len() < number {
        if Instant::now() > patience {
            return Err(failed("the session stands still"));
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
                // It has not joined yet, or was too fast.
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

/// Measures both ways, without and with a password.
pub(super) fn run(quick: bool) -> Result<Vec<Value>, Failure> {
    let rounds = if quick { 1 } else { 5 };
    let kept = Kept::new();
    std::fs::create_dir(&kept.0).map_err(failed)?;
    let in_it = |name: &str| kept.0.join(name);
    Ok(vec![
        measure(&in_it("open"), None, rounds)?,
        measure(&in_it("sealed"), Some("sesame"), rounds)?,
        beside(&in_it("beside"), quick)?,
    ])
}

fn measure(directory: &Path, password: Option<&str>, rounds: u64) -> Result<Value, Failure> {
    let served = Served::start(directory)?;
    let config = teatime_chat::config("bench", &ChatOptions::default()).map_err(failed)?;
    let data = Blobs::new(&config.password(password), &served.url).map_err(failed)?;
    let go_on = &mut |_| ControlFlow::Continue(());
    // The hash of the password takes its memory once.
    data.store(b"to begin with").map_err(failed)?;
    let processes = [std::process::id(), served.process.id()];
    let before = processes.map(|process| {
        forget_peak(process)?;
        peak_memory_kib(process)
    });
    let (mut stored, mut fetched) = (Vec::new(), Vec::new());
    let per_second = |started: Instant| BYTES as f64 / 1e6 / started.elapsed().as_secs_f64();
    for round in 0..rounds {
        let started = Instant::now();
        let handle = data.store_from(BYTES, &mut Content::new(round), go_on).map_err(failed)?;
        stored.push(per_second(started));
        let started = Instant::now();
        data.fetch_into(handle, &mut Content::new(round), go_on).map_err(failed)?;
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
