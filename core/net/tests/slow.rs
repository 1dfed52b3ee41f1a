//! One of ten clients reads nothing: the effect on the others.

#[path = "all/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use support::{PATIENCE, Socket, join, join_with_small_buffer, server};
use teatime_net::server::{Server, ServerConfig};
use teatime_wire::{ClientMessage, SecretKey, Send, ServerMessage};
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Publishers, each at this pace.
const CLIENTS: u8 = 9;
const PACE: Duration = Duration::from_millis(10);
const EACH: u64 = 60;
/// The first events are not measured: connections warm up, and the buffers of the slow client fill.
const WARM_UP: u64 = 20;
/// Large enough that the system's buffers for the slow client are full after a few events.
const BYTES: usize = 10_000;

/// Rounds of each kind.
const PAIRS: u8 = 31;

/// The client that reads nothing.
const SLOW: u8 = 100;

/// Publishes, and measures the time until each event comes back, in µs. True if the slow client was dropped meanwhile.
async fn publish(socket: Socket, client: u8) -> (Vec<u64>, bool) {
    let (mut writer, mut reader) = socket.split();
    let start = Instant::now();
    let micros = move || start.elapsed().as_micros() as u64;
    let writing = async move {
        let phase = PACE * u32::from(client) / u32::from(CLIENTS);
        let mut pace = interval_at(tokio::time::Instant::now() + phase, PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut payload = vec![client; BYTES];
        for counter in 1..=EACH {
            pace.tick().await;
            payload[..8].copy_from_slice(&micros().to_be_bytes());
            let send = ClientMessage::Send(Send { counter, payload: &payload }).encode();
            writer.send(Message::Binary(send.into())).await.expect("it is open");
        }
        writer
    };
    let reading = async move {
        let (mut latencies, mut dropped) = (Vec::new(), false);
        let slow = SecretKey::of_view(&[SLOW; 32]).public().view_id();
        while let Some(Ok(message)) = reader.next().await {
            let now = micros();
            let Message::Binary(frame) = message else { continue };
            match ServerMessage::decode(&frame) {
                Ok(ServerMessage::Event(event)) if event.payload[8] == client => {
                    let stamp = event.payload.first_chunk().expect("it is long enough");
                    if event.counter > WARM_UP {
                        latencies.push(now - u64::from_be_bytes(*stamp));
                    }
                    if event.counter == EACH {
                        return (latencies, dropped);
                    }
                }
                Ok(ServerMessage::Views(views)) => {
                    dropped |= views.exited.iter().any(|view| view.view_id == slow);
                }
                _ => {}
            }
        }
        panic!("the connection ended");
    };
    tokio::join!(writing, reading).1
}

/// The p99 of nine publishers, alone or with a tenth client that reads nothing, and whether the tenth was dropped.
async fn round(server: &Server, session: u8, with_slow: bool) -> (u64, bool) {
    let mut sockets = Vec::new();
    for client in 0..CLIENTS {
        sockets.push(join(server, session, client + 1).await);
    }
    let slow =
        if with_slow { Some(join_with_small_buffer(server, session, SLOW).await) } else { None };
    let publishers = sockets.into_iter().zip(0..).map(|(socket, at)| publish(socket, at));
    let measured = timeout(PATIENCE, futures_util::future::join_all(publishers)).await;
    let measured = measured.expect("it takes a second");
    drop(slow);
    let dropped = measured.iter().any(|(_, dropped)| *dropped);
    let mut latencies: Vec<_> = measured.into_iter().flat_map(|(each, _)| each).collect();
    latencies.sort_unstable();
    (latencies[latencies.len() * 99 / 100], dropped)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The two kinds of rounds take turns, so that other load on this machine affects both alike. Their number does not depend on
/// their results.
#[tokio::test]
async fn one_of_ten_that_reads_nothing_does_not_harm_the_others() {
    let mut config = ServerConfig { max_queued_bytes: 1024 * 1024, ..ServerConfig::default() };
    config.reflector.snapshot_after_bytes = u64::MAX;
    // So that the others see its exit soon.
    config.reflector.rejoin_limit = 10_000;
    config.reflector.gather_window = 10_000;
    let server = server(config);
    let (mut alone, mut with_slow, mut dropped) = (Vec::new(), Vec::new(), 0);
    for pair in 0..PAIRS {
        // The order changes from round to round.
        for slow in [pair % 2 == 0, pair % 2 != 0] {
            let (p99, gone) = round(&server, 2 * pair + u8::from(slow), slow).await;
            if slow {
                with_slow.push(p99)
            } else {
                alone.push(p99)
            }
            dropped += u32::from(gone);
        }
    }
    // Compare neighbouring rounds, because other load on the machine affects both.
    let ratios = with_slow.iter().zip(&alone).map(|(slow, alone)| *slow as f64 / *alone as f64);
    let ratio = median(ratios);
    println!(
        "{{\"rounds\": {}, \"p99_us_alone\": {}, \"p99_us_with_one_that_reads_nothing\": {}, \
         \"ratio\": {ratio:.3}, \"dropped\": {dropped}}}",
        alone.len(),
        median(alone.iter().map(|p99| *p99 as f64)),
        median(with_slow.iter().map(|p99| *p99 as f64)),
    );
    assert!(dropped > 0, "it was never too slow: this proves nothing");
    assert!(ratio <= 1.2, "{alone:?} {with_slow:?}");
}
