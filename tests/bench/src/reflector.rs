//! What the reflector costs: CPU time per delivery, latency, throughput, memory.
//!
//! The reflector runs in a process of its own with one worker. The load comes from this process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::load::{Counters, Load, play};
use crate::server::Served;
use crate::usage::cpu_of_this_thread;

/// Clients that only listen.
const QUIET: Load =
    Load { sessions: 1, clients: 1, senders: 0, rate: 1, bytes: 100, presence_rate: 0 };

/// Measures everything.
pub(crate) fn run(quick: bool) -> Result<Vec<Value>, Failure> {
    let seconds = if quick { 2.0 } else { 8.0 };
    let load =
        |sessions, clients, senders, rate| Load { sessions, clients, senders, rate, ..QUIET };
    let mut rows = Vec::new();
    for (load, wanted) in
        [(load(1, 100, 10, 20), 1.5), (load(1, 20, 20, 200), 0.6), (load(200, 2, 1, 20), 7.0)]
    {
        rows.push(cost(load, seconds, wanted)?);
    }
    rows.push(beside_presence(seconds)?);
    rows.push(throughput(quick)?);
    rows.push(memory()?);
    Ok(rows)
}

/// CPU seconds of one `send` of a small frame on loopback, read by another thread.
fn raw_send() -> Result<f64, Failure> {
    const SENDS: u32 = 100_000;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    sender.set_nodelay(true)?;
    let (mut receiver, _) = listener.accept()?;
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while receiver.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    let frame = [0; 150];
    let before = cpu_of_this_thread().unwrap_or(f64::NAN);
    for _ in 0..SENDS {
        sender.write_all(&frame)?;
    }
    let used = cpu_of_this_thread().unwrap_or(f64::NAN) - before;
    drop(sender);
    // It only reads.
    let _ = reader.join();
    Ok(used / f64::from(SENDS))
}

struct Measured {
    /// CPU seconds of the server.
    cpu: f64,
    seconds: f64,
    sent: u64,
    observed: u64,
    latencies: Vec<u64>,
}

fn measure(served: &Served, load: Load, seconds: f64) -> Result<Measured, Failure> {
    let counters = Arc::new(Counters::default());
    let (sender, latencies) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(served.address(), load, counters.clone(), sender))?;
    let pass = |seconds| {
        runtime.block_on(async { tokio::time::sleep(Duration::from_secs_f64(seconds)).await });
    };
    let clients = (load.sessions * load.clients) as u64;
    let patience = Instant::now() + Duration::from_secs(20);
    while counters.welcomed.load(Ordering::Relaxed) < clients && Instant::now() < patience {
        pass(0.05);
    }
    counters.go.store(true, Ordering::Relaxed);
    pass(1.0);
    while latencies.try_recv().is_ok() {}
    let count = || {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (served.cpu(), of(&counters.sent), of(&counters.observed), Instant::now())
    };
    let (cpu, sent, observed, start) = count();
    pass(seconds);
    let (cpu_after, sent_after, observed_after, end) = count();
    let mut latencies: Vec<_> = latencies.try_iter().collect();
    latencies.sort_unstable();
    Ok(Measured {
        cpu: cpu_after - cpu,
        seconds: (end - start).as_secs_f64(),
        sent: sent_after - sent,
        observed: observed_after - observed,
        latencies,
    })
}

fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get(sorted.len() * percent / 100).copied()
}

fn name(load: Load) -> String {
    let Load { sessions, clients, senders, rate, bytes, .. } = load;
    format!("{sessions} sessions × {clients} clients, {senders} senders × {rate}/s × {bytes} B")
}

fn cost(load: Load, seconds: f64, wanted: f64) -> Result<Value, Failure> {
    let served = Served::start("serve", None)?;
    let send = raw_send()?;
    let measured = measure(&served, load, seconds)?;
    let send = (send + raw_send()?) / 2.0;
    let deliveries = measured.observed as f64 * load.clients as f64;
    let each = measured.cpu / deliveries;
    Ok(json!({
        "work": format!("server CPU per delivery: {}, senders out of phase", name(load)),
        "cpu_us_per_delivery": each * 1e6,
        "raw_send_us": send * 1e6,
        "sends_per_delivery": each / send, "wanted_at_most": wanted,
        "deliveries_per_second": deliveries / measured.seconds,
        "latency_us_p50": percentile(&measured.latencies, 50),
        "latency_us_p99": percentile(&measured.latencies, 99),
    }))
}

/// How much later events arrive while other participants show something of themselves. Both are measured three times, in turn.
fn beside_presence(seconds: f64) -> Result<Value, Failure> {
    const TIMES: usize = 3;
    let without = Load { sessions: 1, clients: 100, senders: 10, rate: 20, ..QUIET };
    let with = Load { presence_rate: 30, ..without };
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let mut cpu = [0.0, 0.0];
    for _ in 0..TIMES {
        for (at, (load, latencies)) in
            [(without, &mut quiet), (with, &mut busy)].into_iter().enumerate()
        {
            let served = Served::start("serve", None)?;
            let measured = measure(&served, load, seconds / 2.0)?;
            cpu[at] += measured.cpu / measured.seconds / TIMES as f64;
            latencies.push(percentile(&measured.latencies, 99).unwrap_or(u64::MAX));
        }
    }
    let median = |mut all: Vec<u64>| {
        all.sort_unstable();
        all[TIMES / 2]
    };
    let (quiet, busy) = (median(quiet), median(busy));
    Ok(json!({
        "work": "latency of events beside presence: 1 session × 100 clients, 10 senders × 20/s, 90 show something × 30/s × 100 B",
        "latency_us_p99": busy, "latency_us_p99_without": quiet,
        "ratio": busy as f64 / quiet as f64, "wanted_at_most": 1.3,
        "server_cpu": cpu[1], "server_cpu_without": cpu[0],
    }))
}

/// The highest load of some at which nearly everything arrives.
fn throughput(quick: bool) -> Result<Value, Failure> {
    let seconds = if quick { 1.0 } else { 4.0 };
    let mut best = (0.0, 0, f64::NAN);
    for rate in [500, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000] {
        let load = Load { sessions: 1, clients: 100, senders: 10, rate, ..QUIET };
        let served = Served::start("serve", None)?;
        let measured = measure(&served, load, seconds)?;
        let delivered = measured.observed as f64 * load.clients as f64 / measured.seconds;
        let offered = rate as f64 * load.senders as f64 * seconds;
        let fits =
            measured.observed as f64 > 0.95 * offered && measured.sent as f64 > 0.95 * offered;
        if delivered > best.0 {
            best = (delivered, rate, measured.cpu / (delivered * measured.seconds) * 1e6);
        }
        if !fits {
            break;
        }
    }
    Ok(json!({
        "work": "most deliveries per second on one core, 1 session × 100 clients × 100 B",
        "unit": "million/s", "measured": best.0 / 1e6, "wanted_at_least": 1.5,
        "senders": 10, "rate_of_each": best.1, "cpu_us_per_delivery": best.2,
        "note": "the load takes the other core",
    }))
}

fn memory() -> Result<Value, Failure> {
    let load = Load { sessions: 10, clients: 100, ..QUIET };
    let served = Served::start("serve", None)?;
    let before = served.memory_kib();
    let counters = Arc::new(Counters::default());
    let (sender, _latencies) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(served.address(), load, counters, sender))?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(2)).await });
    let clients = (load.sessions * load.clients) as f64;
    Ok(json!({
        "work": "server memory (user space, resident)",
        "at_start_mib": before / 1024.0, "at_start_mib_wanted_at_most": 10.0,
        "idle_connections": clients,
        "kib_per_idle_connection": (served.memory_kib() - before) / clients,
        "kib_per_idle_connection_wanted_at_most": 5.0,
    }))
}
