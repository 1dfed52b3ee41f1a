//! What it costs that an event survives a power cut before anybody sees it.

#[path = "all/support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use support::socket::{Heard, Socket};
use support::{Program, Start, private_directory};

/// How much longer than the disk alone an event may take.
const MOST: f64 = 3.0;

/// Alternately, so that whatever else the machine does meets both.
const ROUNDS: usize = 10;
const PER_ROUND: usize = 20;

/// As much as an event takes in the log: what is sent, and what stands around it.
const PAYLOAD: usize = 100;
const WRITTEN: usize = 250;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[tokio::test]
async fn an_acknowledgement_that_survives_power_cuts_takes_at_most_three_times_what_the_disk_does()
{
    let data = private_directory("acknowledged");
    let store = data.join("store");
    let path = store.to_str().expect("UTF-8");
    let flags = ["reflector", "--json", "--listen", "127.0.0.1:0", "--data", path];
    let mut server = Program::start(&[&flags[..], &["--durability", "power"]].concat());
    let url = server.wait_for("listening")["url"].as_str().expect("a string").to_owned();
    let mut socket = Socket::join(&url, 1, 1).await;
    let file = data.join("alone");
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("it is there");
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
    let (event, sync) = (median(events), median(syncs));
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
    assert!(ratio <= MOST, "{event:.0} µs for an event, {sync:.0} µs for the disk alone");
}
