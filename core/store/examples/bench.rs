//! Measures a store, and a bare file on the same disk in the same run. Prints one line of JSON.
//!
//! `cargo run --release --example bench [DIR]`. The default directory is in the folder for
//! temporary files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cpu_time::ProcessTime;
use teatime_reflector::storage::{
    Answer, Append, Checkpoint, Record, RecordKind, Request, Storage, Ticket,
};
use teatime_store::{Config, DiskStore, Durability, Key, RealDisk, Shared};
use teatime_wire::SessionId;

const RECORD: usize = 100;
const SESSIONS: u64 = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("teatime-store-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let mut parts = Vec::new();
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        for batch in [1, 16, 256] {
            parts.push(commits(&dir, name, durability, batch)?);
        }
    }
    for batch in [1, 16, 256] {
        parts.push(bare(&dir, batch)?);
    }
    for mib in [1, 20] {
        parts.push(checkpoints(&dir, mib)?);
    }
    for threaded in [false, true] {
        for durability in [Durability::Process, Durability::Power] {
            parts.push(commits_beside_a_checkpoint(&dir, durability, threaded)?);
        }
    }
    for handles in [1, 10, 100] {
        parts.push(group_commit(&dir, handles)?);
    }
    parts.push(million(&dir)?);
    fs::remove_dir_all(&dir)?;
    println!("{{{}}}", parts.join(","));
    Ok(())
}

/// The quantile of times, in thousandths.
fn quantile(micros: &mut [f64], of_thousand: usize) -> f64 {
    micros.sort_by(f64::total_cmp);
    micros[(micros.len() * of_thousand / 1000).min(micros.len() - 1)]
}

fn open(dir: &Path, durability: Durability) -> Result<DiskStore, teatime_store::Error> {
    DiskStore::open_dir(dir, Config { durability, ..Config::default() })
}

fn session(n: u64) -> SessionId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_le_bytes());
    SessionId(id)
}

fn key(n: u64) -> Key {
    Key::Session(session(n))
}

fn commits(
    dir: &Path,
    name: &str,
    durability: Durability,
    batch: u64,
) -> Result<String, teatime_store::Error> {
    let dir = dir.join(format!("{name}{batch}"));
    let mut store = open(&dir, durability)?;
    (0..SESSIONS).try_for_each(|n| store.begin(key(n), b"head"))?;
    store.commit()?;
    let rounds = if durability == Durability::Power { 1000 } else { 1_000_000 / batch.max(4) };
    let (mut seq, mut micros) = (0, Vec::new());
    let cpu = ProcessTime::now();
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..batch {
            seq += 1;
            store.append(key(seq % SESSIONS), seq, RecordKind::Ordered, &[seq as u8; RECORD])?;
        }
        store.commit()?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let each = cpu.elapsed().as_secs_f64() * 1e6 / seq as f64;
    let (p50, p99) = (quantile(&mut micros, 500), quantile(&mut micros, 990));
    Ok(format!(
        "\"{name}_{batch}\":{{\"cpu_us_per_record\":{each:.3},\"commit_p50_us\":{p50:.1},\"commit_p99_us\":{p99:.1}}}"
    ))
}

/// The same number of bytes written to a bare file.
fn bare(dir: &Path, batch: usize) -> std::io::Result<String> {
    let mut file = File::create(dir.join("bare"))?;
    let bytes = vec![7; 20 + batch * (38 + RECORD)];
    let mut micros = Vec::new();
    let cpu = ProcessTime::now();
    for _ in 0..1000 {
        let start = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let each = cpu.elapsed().as_secs_f64() * 1e6 / (1000 * batch) as f64;
    let (p50, p99) = (quantile(&mut micros, 500), quantile(&mut micros, 990));
    Ok(format!(
        "\"bare_fdatasync_{batch}\":{{\"cpu_us_per_record\":{each:.3},\"p50_us\":{p50:.1},\"p99_us\":{p99:.1}}}"
    ))
}

fn checkpoints(dir: &Path, mib: usize) -> Result<String, teatime_store::Error> {
    let dir = dir.join(format!("checkpoints{mib}"));
    let mut store = open(&dir, Durability::Power)?;
    store.begin(key(0), b"head")?;
    let mut bytes = vec![0; mib << 20];
    let mut micros = Vec::new();
    for seq in 0..100 {
        bytes[0] = seq as u8;
        let start = Instant::now();
        store.checkpoint(key(0), seq, &bytes)?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let (p50, p99) = (quantile(&mut micros, 500), quantile(&mut micros, 990));
    let growth = store.stats().disk_bytes as f64 / f64::from(1 << 20);
    Ok(format!(
        "\"checkpoint_{mib}_mib\":{{\"p50_us\":{p50:.0},\"p99_us\":{p99:.0},\"mib_after_100\":{growth:.2}}}"
    ))
}

/// A reflector's use of a shared store: it submits, flushes, and waits for the answer.
struct Handle {
    shared: Shared<RealDisk>,
    session: SessionId,
    seq: u64,
    next: u64,
}

impl Handle {
    fn new(shared: Shared<RealDisk>, n: u64) -> Self {
        let session = session(n);
        let mut shared = shared;
        shared
            .set_waker(std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current()))));
        let mut handle = Self { shared, session, seq: 0, next: 0 };
        let begin = Some(b"head"[..].into());
        let ticket = handle.ask(Request::Append(Append { session, begin, records: Vec::new() }));
        handle.wait(ticket);
        handle
    }

    fn ask(&mut self, request: Request) -> Ticket {
        self.next += 1;
        self.shared.submit(Ticket(self.next), request);
        self.shared.flush();
        Ticket(self.next)
    }

    fn append(&mut self) -> Ticket {
        self.seq += 1;
        let bytes = vec![self.seq as u8; RECORD].into();
        let record = Record { seq: self.seq, kind: RecordKind::Ordered, bytes };
        let append = Append { session: self.session, begin: None, records: vec![record] };
        self.ask(Request::Append(append))
    }

    /// Waits for the answer to this request. Others may be answered before.
    fn wait(&mut self, ticket: Ticket) {
        loop {
            match self.shared.completed() {
                Some((answered, Ok(Answer::Done))) if answered == ticket => return,
                Some((_, Ok(_))) => {}
                Some((_, Err(error))) => panic!("the disk fails: {error}"),
                None => std::thread::park(),
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// The appends of a reflector whose session gets a checkpoint of 20 MiB.
fn commits_beside_a_checkpoint(
    dir: &Path,
    durability: Durability,
    threaded: bool,
) -> Result<String, Box<dyn std::error::Error>> {
    let name =
        format!("beside_checkpoint_{durability:?}_{}", if threaded { "threads" } else { "alone" });
    let store = open(&dir.join(&name), durability)?;
    let shared = if threaded { Shared::with_threads(store, None)? } else { Shared::new(store) };
    let mut handle = Handle::new(shared, 1);
    let (mut worst, mut usual) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let mut micros = Vec::new();
        let begin = Instant::now();
        // As long as it takes to write it, and beyond.
        while begin.elapsed().as_millis() < 500 {
            let start = Instant::now();
            if micros.is_empty() {
                let bytes = vec![handle.seq as u8; 20 << 20].into();
                let checkpoint = Checkpoint { seq: handle.seq, bytes };
                let (session, previous) = (handle.session, None);
                handle.ask(Request::Checkpoint { session, checkpoint, previous });
            }
            let ticket = handle.append();
            handle.wait(ticket);
            micros.push(start.elapsed().as_secs_f64() * 1e6);
            std::thread::sleep(std::time::Duration::from_micros(500));
        }
        handle.shared.finish();
        worst.push(quantile(&mut micros, 1000));
        usual.push(quantile(&mut micros, 500));
    }
    let (worst, usual) = (quantile(&mut worst, 500), quantile(&mut usual, 500));
    Ok(format!("\"{name}\":{{\"commit_p50_us\":{usual:.0},\"worst_commit_p50_us\":{worst:.0}}}"))
}

/// One append of each session at a time, all waiting for power durability.
fn group_commit(dir: &Path, sessions: u64) -> Result<String, Box<dyn std::error::Error>> {
    let store = open(&dir.join(format!("group{sessions}")), Durability::Power)?;
    let shared = Shared::with_threads(store, None)?;
    let mut handles: Vec<_> = (0..sessions).map(|n| Handle::new(shared.clone(), n)).collect();
    let mut micros = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        let tickets: Vec<_> = handles.iter_mut().map(Handle::append).collect();
        for (handle, ticket) in handles.iter_mut().zip(tickets) {
            handle.wait(ticket);
        }
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let (p50, p99) = (quantile(&mut micros, 500), quantile(&mut micros, 990));
    Ok(format!("\"group_commit_{sessions}\":{{\"p50_us\":{p50:.0},\"p99_us\":{p99:.0}}}"))
}

fn million(dir: &Path) -> Result<String, teatime_store::Error> {
    let dir = dir.join("million");
    let mut store = open(&dir, Durability::Process)?;
    (0..1000).try_for_each(|n| store.begin(key(n), b"head"))?;
    let start = Instant::now();
    for seq in 1..=1_000_000u64 {
        store.append(key(seq % 1000), seq, RecordKind::Ordered, &[seq as u8; RECORD])?;
        if seq % 64 == 0 {
            store.commit()?;
        }
    }
    let written = start.elapsed().as_secs_f64();
    drop(store);
    let start = Instant::now();
    let store = open(&dir, Durability::Process)?;
    let opened = start.elapsed().as_secs_f64();
    let mut records = 0;
    for info in store.infos() {
        records += store.load(info.key)?.map_or(0, |stored| stored.records.len());
    }
    let loaded = start.elapsed().as_secs_f64() - opened;
    assert_eq!(records, 1_000_000);
    Ok(format!(
        "\"million_records\":{{\"append_s\":{written:.3},\"open_s\":{opened:.3},\"load_all_s\":{loaded:.3}}}"
    ))
}
