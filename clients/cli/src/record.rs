//! `teatime record`: joins a room, shows nothing, and writes down what happens there.
//!
//! Who records takes part like everybody else: the others see him. So nobody is recorded without being
//! able to know, and the file is exactly what a participant saw.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use teatime::recording::Recorded;
use teatime::{ConnectionState, Driver, SessionEvent};

use crate::codes::{error_line, in_json};
use crate::joining::{Joining, usage};
use crate::{Failure, tell_user};

/// Flags of `teatime record`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    joining: Joining,
    /// The file, which must not be there. What was said stands in it in plain text, also if the room has a
    /// password, and only this user can read it.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// One JSON object a line; with a code if something goes wrong.
    #[arg(long)]
    json: bool,
}

enum Wake {
    Network,
    Signal,
}

/// How long one step may simulate.
const BUDGET: Duration = Duration::from_millis(200);

/// Records until it is stopped or the session fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    in_json(arguments.json, run_it(arguments))
}

fn run_it(arguments: &Arguments) -> Result<(), Failure> {
    let (mut place, config, _) = arguments.joining.what()?;
    crate::start_logging("off");
    let room = config.name.clone();
    let (sender, wakes) = mpsc::channel();
    let network = sender.clone();
    let waker = Arc::new(move || {
        // Nobody waits any more when the program ends.
        let _ = network.send(Wake::Network);
    });
    ctrlc::set_handler(move || {
        let _ = sender.send(Wake::Signal);
    })
    .map_err(|error| Failure::Coded("IO", format!("cannot wait for signals: {error}")))?;
    let mut driver = Driver::join(config, &place.find()?, waker).map_err(|error| usage(&error))?;
    let failed = |error: std::io::Error| {
        Failure::Coded("IO", format!("{}: {error}", arguments.to.display()))
    };
    driver.record(&arguments.to).map_err(failed)?;
    let ended = record(&mut driver, &wakes, arguments, &room);
    driver.leave();
    let recorded = driver.stop_recording().map_err(failed)?;
    if ended.is_ok() || !recorded.files.is_empty() {
        tell_end(arguments, &recorded);
    }
    ended
}

fn record(
    driver: &mut Driver,
    wakes: &Receiver<Wake>,
    arguments: &Arguments,
    room: &str,
) -> Result<(), Failure> {
    let mut told_reason = false;
    loop {
        driver.step(BUDGET);
        while let Some(event) = driver.poll_event() {
            match event {
                SessionEvent::Connection(ConnectionState::Failed, Some(reason)) => {
                    return Err(Failure::Coded(reason.code(), reason.to_string()));
                }
                SessionEvent::Connection(ConnectionState::Live, _) => {
                    told_reason = false;
                    tell_live(driver, arguments, room);
                }
                SessionEvent::Connection(_, Some(reason)) if !told_reason => {
                    told_reason = true;
                    if arguments.json {
                        crate::say(&error_line(reason.code(), &reason));
                    } else {
                        tell_user(&format_args!("{reason}; trying again, stop with Ctrl-C"));
                    }
                }
                _ => {}
            }
        }
        // It is said when the recording is stopped.
        if driver.recording_error().is_some() {
            return Ok(());
        }
        let first = match driver.next_due() {
            Some(pause) => wakes.recv_timeout(pause).ok(),
            None => wakes.recv().ok(),
        };
        if first.into_iter().chain(wakes.try_iter()).any(|wake| matches!(wake, Wake::Signal)) {
            return Ok(());
        }
    }
}

fn tell_live(driver: &Driver, arguments: &Arguments, room: &str) {
    let client: &teatime::Client = driver;
    if arguments.json {
        let seq = client.vm().map(teatime::Vm::seq);
        crate::say(&json!({
            "event": "recording", "file": arguments.to.display().to_string(), "session_id": client.session_id(),
            "view_id": client.view_id(), "seq": seq, "time_us": client.now().as_micros(),
        }));
    } else {
        let file = arguments.to.display();
        tell_user(&format_args!(
            "recording room {room:?} to {file}; those in it see one more who is here. \
             Stop with Ctrl-C"
        ));
    }
}

fn tell_end(arguments: &Arguments, recorded: &Recorded) {
    let Recorded { files, events, until: (time, seq) } = recorded;
    if arguments.json {
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        crate::say(&json!({
            "event": "recorded", "files": files, "events": events, "seq": seq,
            "time_us": time.as_micros(),
        }));
    } else if files.is_empty() {
        tell_user(&"nothing was recorded");
    } else {
        tell_user(&format_args!("{events} events recorded, up to event {seq} at {time}"));
        for more in files.iter().skip(1) {
            let more = more.display();
            tell_user(&format_args!(
                "after something was missed, or a file was full, it goes on in {more}"
            ));
        }
    }
}
