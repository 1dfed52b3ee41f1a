//! Plays sessions that begin and end, in real time and with real sockets. Memory and open files must not grow. Prints
//! JSON. Exit status 1: they grew.
//!
//! `TEATIME_SOAK_MINUTES=N` plays for N minutes instead of five.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use teatime::server::{Server, ServerConfig, SharedStorage};
use teatime::{Config, DisconnectReason, Driver, Handling, SessionEvent};
use teatime_store::{Config as StoreConfig, DiskStore, Shared};
use teatime_tests::ledger::{BROUGHT_ALONG, Entry, Rules, app};
use teatime_tests::usage::{memory, open_files, slope};

/// Rooms at once, and clients of each.
const ROOMS: usize = 4;
const CLIENTS: usize = 5;
/// Length of a round. Each client publishes every fourth round.
const ROUND: Duration = Duration::from_millis(50);
/// Number of rounds after which a room ends and another begins.
const ROOM_ROUNDS: u64 = 400;

/// Most growth of memory after the warm-up, in bytes per minute: the noise of the allocator in five minutes.
const MOST_GROWTH: f64 = 512.0 * 1024.0;

const RULES: Rules = Rules { tick_ms: 250, bug: None };

struct Participant {
    driver: Driver,
    number: u64,
    unanimous: u64,
    diverged: u64,
}

impl Participant {
    fn join(room: &str, url: &str) -> Self {
        let mut config = Config::new(app(), room, &RULES).expect("it is plain data");
        config.view_data = teatime::to_bytes(BROUGHT_ALONG).ok();
        let driver = Driver::join(config, url, Arc::new(|| {})).expect("it can be started");
        Self { driver, number: 0, unanimous: 0, diverged: 0 }
    }

    fn step(&mut self) {
        self.driver.step(Duration::from_millis(20));
        while let Some(event) = self.driver.poll_event() {
            match event {
                SessionEvent::Verdict { agreed, of, hash: Some(_), .. } if agreed == of => {
                    self.unanimous += 1;
                }
                SessionEvent::Connection(_, Some(DisconnectReason::Diverged)) => self.diverged += 1,
                _ => {}
            }
        }
        while self.driver.poll_delivery(Handling::Queued).is_some() {}
    }
}

#[derive(Default)]
struct Played {
    events: u64,
    refused: u64,
    rooms: u64,
    reconnects: u64,
    unanimous: u64,
    diverged: u64,
}

fn minutes() -> f64 {
    let minutes = std::env::var("TEATIME_SOAK_MINUTES").ok();
    minutes.and_then(|minutes| minutes.parse().ok()).unwrap_or(5.0)
}

fn main() -> ExitCode {
    let data = std::env::temp_dir().join(format!("teatime-soak-{}", std::process::id()));
    let (played, points) = play(&data);
    let _ = std::fs::remove_dir_all(&data);
    // The first third fills caches, the allocator and threads.
    let settled = &points[points.len() / 3..];
    let of = |value: fn(&(f64, u64, usize)) -> f64| -> Vec<(f64, f64)> {
        settled.iter().map(|point| (point.0, value(point))).collect()
    };
    let memory_slope = slope(&of(|point| point.1 as f64));
    let files_slope = slope(&of(|point| point.2 as f64));
    let last = points.last().expect("it has run");
    println!(
        "{}",
        json!({
            "minutes": minutes(), "events": played.events, "refused": played.refused,
            "rooms": played.rooms, "reconnects": played.reconnects,
            "unanimous_votes": played.unanimous, "diverged": played.diverged,
            "memory_bytes": last.1, "open_files": last.2,
            "memory_bytes_per_minute": memory_slope, "most": MOST_GROWTH,
            "open_files_per_minute": files_slope,
        })
    );
    let is_flat = memory_slope <= MOST_GROWTH && files_slope.abs() <= 1.0;
    // A soak in which nothing happens proves nothing.
    let is_busy = played.unanimous > 10 && played.reconnects > 10 && played.refused == 0;
    if is_flat && is_busy && played.diverged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Minutes, bytes, open files, twice a second.
fn play(data: &std::path::Path) -> (Played, Vec<(f64, u64, usize)>) {
    let mut config = ServerConfig { workers: 1, ..ServerConfig::default() };
    // Many snapshots, and empty rooms leave the memory.
    config.reflector.snapshot_after_events = 200;
    config.reflector.max_idle_sessions = 8;
    let store = DiskStore::open_dir(data, StoreConfig::default()).expect("it can be written");
    config.storage = Some(SharedStorage::new(Shared::new(store)));
    let server = Server::bind("127.0.0.1:0", config).expect("there is a free port");
    let url = server.url();
    let mut played = Played::default();
    let mut rooms: Vec<Vec<Participant>> = (0..ROOMS).map(|_| Vec::new()).collect();
    let (started, mut points) = (Instant::now(), Vec::new());
    let length = Duration::from_secs_f64(minutes() * 60.0);
    let mut round = 0;
    while started.elapsed() < length {
        for (at, room) in rooms.iter_mut().enumerate() {
            let age = round + at as u64 * ROOM_ROUNDS / ROOMS as u64;
            if age.is_multiple_of(ROOM_ROUNDS) || room.is_empty() {
                for gone in room.drain(..) {
                    played.unanimous += gone.unanimous;
                    played.diverged += gone.diverged;
                }
                played.rooms += 1;
                let name = format!("room {}", played.rooms);
                room.extend((0..CLIENTS).map(|_| Participant::join(&name, &url)));
            }
            play_room(room, age, &mut played);
        }
        if round.is_multiple_of(10) {
            let me = std::process::id();
            let minutes = started.elapsed().as_secs_f64() / 60.0;
            points.extend(memory(me).zip(open_files(me)).map(|(m, files)| (minutes, m, files)));
        }
        round += 1;
        std::thread::sleep((ROUND * round as u32).saturating_sub(started.elapsed()));
    }
    (played, points)
}

fn play_room(room: &mut [Participant], age: u64, played: &mut Played) {
    for (at, one) in room.iter_mut().enumerate() {
        one.step();
        let turn = age + 7 * at as u64;
        if turn.is_multiple_of(97) {
            one.driver.reconnect();
            played.reconnects += 1;
        }
        if turn.is_multiple_of(61) {
            // Fails without a connection.
            let _ = one.driver.request_vote();
        }
        if turn.is_multiple_of(4) && one.driver.is_synced() {
            let entry = Entry { number: one.number + 1 };
            match one.driver.publish("ledger", "enter", &entry) {
                Ok(_) => {
                    one.number += 1;
                    played.events += 1;
                }
                Err(_) => played.refused += 1,
            }
        }
    }
}
