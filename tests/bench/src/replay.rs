//! How fast a recording replays.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};
use teatime::recording::{Head, Input, Recording, Until, read};
use teatime::{External, SessionId, Time, ViewId, ViewInfo, to_bytes};
use teatime_chat::{ChatOptions, Post};

use crate::failure::Failure;
use crate::statistics::median;

const RUNS: usize = 5;

/// Number of participants.
const VIEWS: u64 = 10;
/// Microseconds between two posts of one participant.
const PAUSE: u64 = 1_000_000;

/// Measures reading the file, verifying its checksums, replaying, and hashing the final state.
pub(crate) fn run(quick: bool) -> Result<Vec<Value>, Failure> {
    let events = if quick { 100_000 } else { 1_000_000 };
    let name = format!("teatime-bench-{}.recording", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = chat(events).encode();
    std::fs::write(&path, &file)?;
    let app = teatime_chat::app();
    let play = || -> io::Result<(f64, f64)> {
        let start = Instant::now();
        let opened = read(&path).map_err(io::Error::other)?;
        let reading = start.elapsed().as_secs_f64();
        let vm = opened.recording.replay(&app, Until::End).map_err(io::Error::other)?;
        std::hint::black_box(vm.hash().map_err(io::Error::other)?);
        Ok((reading, start.elapsed().as_secs_f64()))
    };
    let played = (0..RUNS).map(|_| play()).collect::<Result<Vec<_>, _>>();
    let _ = std::fs::remove_file(&path);
    let (reading, seconds): (Vec<_>, Vec<_>) = played?.into_iter().unzip();
    Ok(vec![json!({
        "work": format!("replay of {events} recorded events of the chat, from the file to the hash"),
        "file_mb": file.len() as f64 / 1e6, "reading_s": median(reading),
        "seconds": median(seconds), "seconds_wanted_at_most": 2.0 * events as f64 / 1e6,
    })])
}

/// Participants post in turn, for days.
fn chat(events: u64) -> Recording {
    let id = |number: u64| ViewId(u128::from(number + 1).to_be_bytes());
    let app = teatime_chat::app();
    let options = to_bytes(&ChatOptions::default()).expect("plain data");
    let joined: Vec<_> =
        (0..VIEWS).map(|view| ViewInfo { view_id: id(view), view_data: None }).collect();
    let presence = External::Presence { exited: &[], joined: &joined };
    let mut inputs = vec![Input::new(Time::ZERO, &presence)];
    inputs.extend((1..events).map(|number| {
        let text = format!("this is what a participant says, the {number}th time");
        let payload = to_bytes(&Post { text }).expect("plain data");
        let time = Time::from_micros(number * PAUSE / VIEWS);
        let (scope, event) = ("input", "newPost");
        let sender = id(number % VIEWS);
        Input::new(time, &External::Event { sender, scope, event, payload: &payload })
    }));
    let until = (inputs.last().map_or(Time::ZERO, |input| input.time), events);
    let head = Head::new(&app, SessionId([1; 32]), &options);
    Recording { head, base: None, from: 0, inputs, until }
}
