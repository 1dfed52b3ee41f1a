//! How much longer an event takes that must survive a power cut before any client sees it.

#[path = "all/support/mod.rs"]
mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use support::socket::{Heard, Socket};
use support::{private_directory, teatime};

/// How much longer than the disk alone an event may take.
const MOST: f64 = 3.0;

/// Both are measured in turn, so that other load on the machine affects both.
const ROUNDS: usize = 10;
const PER_ROUND: usize = 20;

/// Bytes of an event, and bytes that it takes in the log.
const PAYLOAD: usize = 100;
const WRITTEN: usize = 250;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// How often it is measured, if necessary: the scheduler may keep the server from a processor for most of half a second,
/// but a server that is too slow is so each time.
const ATTEMPTS: usize = 5;

/// Medians in µs: of an event, and of the disk alone.
async fn measure(socket: &mut Socket, file: &mut File) -> (f64, f64) {
    let (mut events, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..PER_ROUND {
            let begin = Instant::now();
            file.write_all(&[7; WRITTEN]).expect("there is room");
            file.sync_data().expect("it can be made durable");
            syncs.push(begin.elapsed());
        }
        for _ in 0..PER_ROUND {
            let begin = Instant::now();
            assert!(socket.post(&[7; PAYLOAD]).await);
            socket.wait_for(|heard| matches!(heard, Heard::Event(..)).then_some(())).await;
            events.push(begin.elapsed());
        }
    }
    (median(events), median(syncs))
}

#[tokio::test]
async fn an_acknowledgement_that_survives_power_cuts_takes_at_most_three_times_what_the_disk_does()
{
    let data = private_directory("acknowledged");
    let (_server, url) = teatime().reflector_with(&data.join("store"), &["--durability", "power"]);
    let mut socket = Socket::join(&url, 1, 1).await;
    let file = data.join("alone");
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("it is there");
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let (event, sync) = measure(&mut socket, &mut file).await;
        let ratio = event / sync;
        println!(
            "{}",
            json!({
                "event": "power_acknowledgement",
                "p50_event_us": event.round(),
                "p50_fdatasync_us": sync.round(),
                "ratio": (ratio * 100.0).round() / 100.0,
            })
        );
        if ratio <= MOST {
            return;
        }
        seen.push(ratio);
    }
    panic!("an event takes {seen:.2?} times as long as the disk alone");
}
