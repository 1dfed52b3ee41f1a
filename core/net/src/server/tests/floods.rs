//! A connection that floods the server does not hold up the other sessions of its thread, nor the end of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use teatime_wire::Vote;
use tokio::io::{copy, sink};

use super::*;

/// The longest round trip of 99 in 100 that another session may have.
const BOUND: Duration = Duration::from_millis(50);

/// Round trips that are measured.
const TRIPS: u64 = 300;

/// How often it is measured, because the machine may be busy with something else. Without fairness every time fails.
const ATTEMPTS: u32 = 4;

/// A server must have ended by then.
const END: Duration = Duration::from_secs(3);

/// The session that floods, and the one that suffers from it.
const FLOODED: u8 = 1;
const OTHER: u8 = 2;

/// One kind of frames.
struct Flood {
    name: &'static str,
    /// One frame, which is repeated.
    frame: Vec<u8>,
}

/// Frames that cost a client nothing: they need no other content each time.
fn floods() -> Vec<Flood> {
    let control = |name, kind: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("it is short");
        let frame = [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0][..], payload].concat();
        Flood { name, frame }
    };
    let message = |name, message: &ClientMessage<'_>| {
        let payload = message.encode();
        let Flood { mut frame, .. } = control(name, 2, &[]);
        // The least header that fits.
        if payload.len() < 126 {
            frame[1] = 0x80 | u8::try_from(payload.len()).expect("it is short");
            frame.extend_from_slice(&payload);
        } else {
            frame = super::frame(message);
        }
        Flood { name, frame }
    };
    let vote = Vote { seq: 1, hash: Digest([7; 32]) };
    vec![
        message("RequestVote", &ClientMessage::RequestVote),
        message("Persist", &ClientMessage::Persist),
        message("old Vote", &ClientMessage::Vote(vote)),
        message("old Send", &ClientMessage::Send(Send { counter: 1, payload: &[] })),
        message(
            "old Send of 60 KB",
            &ClientMessage::Send(Send { counter: 1, payload: &[7; 60_000] }),
        ),
        message("Ping", &ClientMessage::Ping(7)),
        control("WebSocket ping", 9, &[7; 125]),
        control("WebSocket pong", 10, &[]),
    ]
}

async fn enter(server: &Server, trust: &Trust, session: u8, secret: [u8; 32]) -> Socket {
    let (mut socket, challenge) = socket(server, trust).await;
    let join = joins(session, secret, &challenge).encode();
    socket.send(Message::Binary(join.into())).await.expect("it is open");
    wait_for(&mut socket, |message| matches!(message, ServerMessage::Views(_))).await;
    socket
}

async fn wait_for(socket: &mut Socket, wanted: impl Fn(&ServerMessage<'_>) -> bool) {
    loop {
        if let Message::Binary(bytes) = next(socket).await
            && wanted(&ServerMessage::decode(&bytes).expect("a message"))
        {
            return;
        }
    }
}

/// A thread that sends as fast as the server reads, until it is dropped.
struct Flooder {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flooder {
    fn start(server: &Server, trust: &Trust, flood: &Flood) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let chunk = flood.frame.repeat((64 * 1024 / flood.frame.len()).max(1));
        let (url, trust) = (server.url(), trust.clone());
        let (stopped, counter) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let flood = async {
                let dialer = Dialer::of_system();
                let opened = open(&dialer, &url, &trust, SESSION).await;
                let (mut socket, channel) = opened.expect("it lets us in");
                let Message::Binary(hello) = next(&mut socket).await else { panic!("no hello") };
                let first = Send { counter: 1, payload: &[] };
                let join = joins(FLOODED, [1; 32], &challenge_of(&hello, channel));
                for message in [join, ClientMessage::Send(first)] {
                    let frame = Message::Binary(message.encode().into());
                    socket.send(frame).await.expect("it is open");
                }
                let (mut answers, mut stream) = tokio::io::split(socket.into_inner());
                let flooding = async {
                    while !stopped.load(Ordering::Relaxed) && stream.write_all(&chunk).await.is_ok()
                    {
                        counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    () = flooding => {}
                    // A client that does not read what the server sends is dropped.
                    _ = copy_all(&mut answers) => {}
                }
            };
            runtime.expect("a runtime").block_on(flood);
        });
        Self { stop, sent, thread: Some(thread) }
    }

    /// Waits until the flood has begun.
    fn has_begun(&self) {
        while self.sent.load(Ordering::Relaxed) < 1 << 18 {
            std::thread::yield_now();
        }
    }
}

async fn copy_all(from: &mut (impl AsyncRead + Unpin)) {
    let _ = copy(from, &mut sink()).await;
}

impl Drop for Flooder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || thread.is_none_or(|ended| ended.is_ok()));
    }
}

/// The round trips of a session: the median, and the longest of 99 in 100.
async fn round_trips(socket: &mut Socket, nonce: &mut u64) -> (Duration, Duration) {
    let mut all = Vec::new();
    for _ in 0..TRIPS {
        *nonce += 1;
        let started = Instant::now();
        let ping = ClientMessage::Ping(*nonce).encode();
        socket.send(Message::Binary(ping.into())).await.expect("it is open");
        wait_for(socket, |message| *message == ServerMessage::Pong(*nonce)).await;
        all.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

/// A server that holds no client back, so that only turns protect its sessions.
fn lenient(tls: bool) -> (Server, Trust, tempfile::TempDir) {
    let mut config = ServerConfig { workers: 1, ..ServerConfig::default() };
    config.reflector.frames_per_event = u32::MAX;
    (config.reflector.bytes_per_second, config.reflector.byte_burst) = (u64::MAX, u64::MAX);
    config.reflector.rejoin_limit = 3_600_000_000;
    server_with(tls, config)
}

/// Measures while a flood goes on, and ends the server in the middle of it.
fn withstand(tls: bool, views: u16, flood: &Flood) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (server, trust, _folder) = lenient(tls);
    runtime.block_on(async {
        for view in 0..views {
            let mut secret = [9; 32];
            secret[..2].copy_from_slice(&view.to_be_bytes());
            // Its view stays for an hour.
            drop(enter(&server, &trust, FLOODED, secret).await);
        }
    });
    let (mut socket, mut nonce) = (runtime.block_on(enter(&server, &trust, OTHER, [2; 32])), 0);
    let quiet = runtime.block_on(round_trips(&mut socket, &mut nonce));
    let flooder = Flooder::start(&server, &trust, flood);
    flooder.has_begun();
    let mut best = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let (sent, started) = (flooder.sent.load(Ordering::Relaxed), Instant::now());
        let (median, most) = runtime.block_on(round_trips(&mut socket, &mut nonce));
        let sent = flooder.sent.load(Ordering::Relaxed) - sent;
        println!(
            "{}, {views} views, tls {tls}: quiet p50 {:?} p99 {:?}, flooded p50 {median:?} p99 {most:?}, \
             ratio of p99 {:.1}, {:.1} MB/s",
            flood.name,
            quiet.0,
            quiet.1,
            most.as_secs_f64() / quiet.1.as_secs_f64(),
            sent as f64 / 1e6 / started.elapsed().as_secs_f64(),
        );
        best = best.min(most);
        if best <= BOUND {
            break;
        }
    }
    assert!(best <= BOUND, "{}: {best:?}", flood.name);
    let started = Instant::now();
    server.shutdown();
    assert!(started.elapsed() <= END, "{}: the server took {:?}", flood.name, started.elapsed());
}

#[test]
fn a_flood_of_any_kind_leaves_other_sessions_their_round_trips_and_the_server_its_end() {
    for tls in [false, true] {
        for flood in floods() {
            withstand(tls, 0, &flood);
        }
    }
}

#[test]
fn a_flood_in_a_session_with_many_views_costs_the_others_no_more() {
    for name in ["RequestVote", "Persist", "WebSocket ping"] {
        let flood = floods().into_iter().find(|flood| flood.name == name).expect("it is listed");
        withstand(false, 900, &flood);
    }
}

/// Without an allowance the server reads this many bytes of a flood in seconds.
const MUCH: u64 = 1 << 23;

#[test]
fn a_client_beyond_its_allowance_is_read_slowly_and_not_closed() {
    let mut config = ServerConfig { workers: 1, ..ServerConfig::default() };
    // 4,000 frames per second, 400 at once.
    config.reflector.send_limits.burst = 100;
    held_back(config);
}

#[test]
fn an_address_beyond_its_allowance_is_read_slowly_and_not_closed() {
    let allowance =
        Allowance { frames_per_second: 4_000, frame_burst: 400, ..Allowance::UNLIMITED };
    let config = ServerConfig {
        workers: 1,
        limit_loopback: true,
        address_allowance: allowance,
        ..ServerConfig::default()
    };
    held_back(config);
}

fn held_back(config: ServerConfig) {
    let (server, trust, _folder) = server_with(false, config);
    let flood = floods().pop().expect("pongs come last");
    assert_eq!(flood.frame.len(), 6);
    let flooder = Flooder::start(&server, &trust, &flood);
    let started = Instant::now();
    // Socket buffers take some megabytes.
    let mut before = 0;
    let mut quiet = 0;
    while quiet < 5 {
        std::thread::sleep(Duration::from_millis(100));
        let sent = flooder.sent.load(Ordering::Relaxed);
        quiet = if sent - before < 100_000 { quiet + 1 } else { 0 };
        before = sent;
        assert!(started.elapsed() < PATIENCE, "{sent} bytes, and it goes on");
    }
    assert!(before < MUCH, "{before} bytes");
    let thread = flooder.thread.as_ref().expect("it runs");
    assert!(!thread.is_finished(), "the connection was closed");
    drop(server);
}
