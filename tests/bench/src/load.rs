//! Load for the reflector: many small clients that speak only the wire protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use teatime_wire::{
    Challenge, ClientMessage, Digest, Join, PROTOCOL_VERSION, SecretKey, Send, ServerMessage,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How much load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) sessions: usize,
    /// In each session.
    pub(crate) clients: usize,
    /// In each session.
    pub(crate) senders: usize,
    /// Events per second of each sender.
    pub(crate) rate: u64,
    /// Bytes of each event, and of each presence.
    pub(crate) bytes: usize,
    /// How often each client that sends no events shows something of itself, per second.
    pub(crate) presence_rate: u64,
}

/// What all clients count together.
#[derive(Default)]
pub(crate) struct Counters {
    /// Clients that have been welcomed.
    pub(crate) welcomed: AtomicU64,
    /// Events that were sent.
    pub(crate) sent: AtomicU64,
    /// Events that the first client of each session received.
    pub(crate) observed: AtomicU64,
    /// Bytes that all clients received.
    pub(crate) received_bytes: AtomicU64,
    /// Senders may begin.
    pub(crate) go: AtomicBool,
}

/// Runs all clients until the runtime ends. Latencies in µs go to `latencies`.
pub(crate) async fn play(
    address: SocketAddr,
    load: Load,
    counters: Arc<Counters>,
    latencies: Sender<u64>,
) -> io::Result<()> {
    let start = Instant::now();
    let (mut senders, mut others) = (Vec::new(), Vec::new());
    for session in 0..load.sessions {
        for client in 0..load.clients {
            let (reader, writer) = connect(address, session, client).await?;
            let observer = (client == 0).then(|| latencies.clone());
            tokio::spawn(receive(reader, counters.clone(), observer, start));
            if client < load.senders { senders.push(writer) } else { others.push(writer) }
        }
    }
    if load.presence_rate > 0 {
        let counters = counters.clone();
        std::thread::spawn(move || show(&others, load, &counters));
    } else {
        tokio::spawn(keep(others));
    }
    if !senders.is_empty() {
        std::thread::spawn(move || send(&senders, load, &counters, start));
    }
    Ok(())
}

/// A handshake and a join by hand: a library would measure itself as well.
async fn connect(
    address: SocketAddr,
    session: usize,
    client: usize,
) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: {}\r\n\r\n",
        teatime_wire::SUBPROTOCOL
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let number = |number: usize| (number as u64).to_be_bytes();
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number(session));
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&number(session));
    secret[8..16].copy_from_slice(&number(client + 1));
    let challenge = hear_hello(&mut stream).await?;
    let key = SecretKey::of_view(&secret);
    let join = Join {
        protocol: PROTOCOL_VERSION,
        program: Digest(id),
        name: Digest(id),
        version: 1,
        view_key: key.public(),
        password_key: None,
        view_data: None,
        ticks_per_second: 1,
        attempt: 1,
        resume: None,
        agent: "bench",
    };
    stream.write_all(&frame(&join.prove(&challenge, &key, None).encode())).await?;
    Ok(stream.into_split())
}

/// What the join must be signed for: the reflector says so first.
async fn hear_hello(stream: &mut TcpStream) -> io::Result<Challenge> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).await?;
    // It is shorter than 126 bytes.
    let mut hello = vec![0; usize::from(header[1])];
    stream.read_exact(&mut hello).await?;
    match ServerMessage::decode(&hello) {
        Ok(ServerMessage::Hello(hello)) => Ok(Challenge { nonce: hello.nonce, channel: None }),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "expected a hello")),
    }
}

/// A frame masked with zeros, which the protocol allows.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

async fn receive(
    mut reader: OwnedReadHalf,
    counters: Arc<Counters>,
    observer: Option<Sender<u64>>,
    start: Instant,
) {
    let mut bytes = Vec::with_capacity(64 * 1024);
    let mut welcomed = false;
    loop {
        match reader.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(length) => counters.received_bytes.fetch_add(length as u64, Ordering::Relaxed),
        };
        if !std::mem::replace(&mut welcomed, true) {
            counters.welcomed.fetch_add(1, Ordering::Relaxed);
        }
        match &observer {
            Some(latencies) => observe(&mut bytes, &counters, latencies, start),
            None => bytes.clear(),
        }
    }
}

/// Reads whole frames and measures how long their events were under way.
fn observe(bytes: &mut Vec<u8>, counters: &Counters, latencies: &Sender<u64>, start: Instant) {
    let mut rest = &bytes[..];
    while let Some((payload, length)) = unmasked(rest) {
        if let Ok(ServerMessage::Event(event)) = ServerMessage::decode(payload)
            && let Some(stamp) = event.payload.first_chunk()
        {
            counters.observed.fetch_add(1, Ordering::Relaxed);
            let now = start.elapsed().as_micros() as u64;
            // The receiver has gone when the measurement is over.
            let _ = latencies.send(now.saturating_sub(u64::from_be_bytes(*stamp)));
        }
        rest = &rest[length..];
    }
    let left = rest.len();
    bytes.drain(..bytes.len() - left);
}

fn unmasked(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        short => (2, usize::from(short)),
    };
    Some((bytes.get(start..start + length)?, start + length))
}

/// Sends for all senders, one event after the other, each at its time. The senders share the period evenly,
/// so that no two send at once. From a thread of its own, because the runtime's timers
/// have a resolution of a millisecond, and events that wait for each other are cheaper.
fn send(writers: &[OwnedWriteHalf], load: Load, counters: &Counters, start: Instant) {
    while !counters.go.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let gap = Duration::from_secs_f64(1.0 / (load.rate as f64 * writers.len() as f64));
    let began = Instant::now();
    let mut payload = vec![0; load.bytes];
    for counter in 1.. {
        for (number, writer) in writers.iter().enumerate() {
            let events = (counter - 1) * writers.len() as u64 + number as u64;
            let due = began + gap.mul_f64(events as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let now = start.elapsed().as_micros() as u64;
            payload[..8].copy_from_slice(&now.to_be_bytes());
            let send = ClientMessage::Send(Send { counter, payload: &payload }).encode();
            if !write(writer, &frame(&send)) {
                return;
            }
            counters.sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Shows something for all these clients, one after the other, each at its time.
fn show(writers: &[OwnedWriteHalf], load: Load, counters: &Counters) {
    while !counters.go.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let gap = Duration::from_secs_f64(1.0 / (load.presence_rate as f64 * writers.len() as f64));
    let began = Instant::now();
    let mut data = vec![0; load.bytes];
    for (number, writer) in (0_u64..).zip(writers.iter().cycle()) {
        let due = began + gap.mul_f64(number as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        data[..8].copy_from_slice(&number.to_be_bytes());
        if !write(writer, &frame(&ClientMessage::Presence(&data).encode())) {
            return;
        }
    }
}

/// Returns false when the connection has ended.
fn write(writer: &OwnedWriteHalf, mut frame: &[u8]) -> bool {
    while !frame.is_empty() {
        match writer.try_write(frame) {
            Ok(written) => frame = &frame[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => return false,
        }
    }
    true
}

/// Only keeps the connections open.
async fn keep(writers: Vec<OwnedWriteHalf>) {
    std::future::pending::<()>().await;
    drop(writers);
}
