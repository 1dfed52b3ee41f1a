//! Many joiners that read slowly: what the server needs for them. In a process of its own, because it measures memory.

#![cfg(target_os = "linux")]

#[path = "all/support/mod.rs"]
mod support;

use futures_util::{SinkExt, StreamExt};
use support::{PATIENCE, Socket, connect_with_small_buffer, join, say, say_join, server};
use teatime_net::server::ServerConfig;
use teatime_wire::{ClientMessage, Send, ServerMessage};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const JOINERS: u8 = 100;
/// Below the size from which on each message is shared.
const POST: usize = 1_000;
const POSTS: u64 = 60_000;
const MIB: usize = 1024 * 1024;

/// What this process has in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<usize>().ok()).expect("it is a number") * 1024
}

/// Fills the log, and reads all of it.
async fn fill(socket: Socket) -> Socket {
    let (mut writer, mut reader) = socket.split();
    let writing = async move {
        for counter in 1..=POSTS {
            let send = ClientMessage::Send(Send { counter, payload: &[7; POST] }).encode();
            writer.feed(Message::Binary(send.into())).await.expect("it is open");
        }
        writer.flush().await.expect("it is open");
        writer
    };
    let reading = async move {
        loop {
            let message = reader.next().await.expect("it is open").expect("it is open");
            if let Message::Binary(frame) = message
                && let Ok(ServerMessage::Event(event)) = ServerMessage::decode(&frame)
                && event.counter == POSTS
            {
                return reader;
            }
        }
    };
    let (writer, reader) = tokio::join!(writing, reading);
    writer.reunite(reader).expect("they belong together")
}

#[tokio::test]
async fn a_hundred_slow_joiners_of_a_large_log_cost_about_one_log() {
    let mut config = ServerConfig { workers: 1, ..ServerConfig::default() };
    let reflector = &mut config.reflector;
    (reflector.send_limits.per_second, reflector.send_limits.burst) = (1_000_000, 1_000_000);
    reflector.bytes_per_second = u64::MAX / 4;
    reflector.byte_burst = u64::MAX / 4;
    reflector.log_limit_bytes = 256 * MIB as u64;
    let server = server(config);
    let mut sender = timeout(PATIENCE, fill(join(&server, 1, 1).await)).await.expect("in time");
    let log = POSTS as usize * POST;
    let before = resident();
    let mut joiners = Vec::new();
    for view in 2..2 + JOINERS {
        let mut socket = connect_with_small_buffer(&server).await;
        say_join(&mut socket, 1, view).await;
        joiners.push(socket);
    }
    // When the others have heard of all of them, everything waits for their sockets.
    let mut joined = 0;
    let all_are_in = async {
        while joined < usize::from(JOINERS) {
            say(&mut sender, &ClientMessage::Ping(1)).await;
            let message = sender.next().await.expect("it is open").expect("it is open");
            if let Message::Binary(frame) = message
                && let Ok(ServerMessage::Views(views)) = ServerMessage::decode(&frame)
            {
                joined += views.joined.len();
            }
        }
    };
    timeout(PATIENCE, all_are_in).await.expect("they join");
    let more = resident().saturating_sub(before);
    println!("{{\"joiners\": {JOINERS}, \"log\": {log}, \"more\": {more}}}");
    assert!(log > 50 * MIB && more < log, "{} MiB more", more / MIB);
    // They get all of it when they read.
    let mut late = joiners.pop().expect("there are some");
    let mut seen = 0;
    let reads_all = async {
        while seen < POSTS {
            let message = late.next().await.expect("it is open").expect("it is open");
            if let Message::Binary(frame) = message
                && let Ok(ServerMessage::Event(event)) = ServerMessage::decode(&frame)
            {
                seen += 1;
                assert_eq!(event.counter, seen);
            }
        }
    };
    timeout(PATIENCE, reads_all).await.expect("it reads");
}
