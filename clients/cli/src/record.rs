//! `teatime record`: joins a room, shows nothing, and records what happens there.
//!
//! Recording is visible: the recorder appears as a participant. The file holds exactly what a participant saw.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use teatime::recording::Recorded;
use teatime::{ConnectionState, Driver, SessionEvent};

use crate::codes::{error_line, hint_line};
use crate::joining::Joining;
use crate::terminal::{Failure, print, start_logging, tell_user};

/// Flags of `teatime record`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    joining: Joining,
    /// File to write; it must not exist. It holds all posts as plain text, even if the room has a password, and only
    /// you can read it.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print JSON, one object a line. An error has a code.
    #[arg(long)]
    pub(crate) json: bool,
}

enum Wake {
    Network,
    Signal,
}

/// How long one step may simulate.
const BUDGET: Duration = Duration::from_millis(200);

/// Records until it is stopped or the session fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (mut reflector, config) = arguments.joining.resolve()?;
    start_logging("off");
    let room = config.name.clone();
    let (sender, wakes) = mpsc::channel();
    let network = sender.clone();
    let waker = Arc::new(move || {
        // The receiver has gone when the program ends.
        let _ = network.send(Wake::Network);
    });
    ctrlc::set_handler(move || {
        let _ = sender.send(Wake::Signal);
    })
    .map_err(|error| Failure::Failed("IO", format!("cannot wait for signals: {error}")))?;
    let mut driver =
        Driver::join(config, &reflector.find()?, waker).map_err(|error| Failure::usage(&error))?;
    let failed = |error: std::io::Error| {
        Failure::Failed("IO", format!("{}: {error}", arguments.to.display()))
    };
    driver.record(&arguments.to).map_err(failed)?;
    let ended = record(&mut driver, &wakes, arguments, &room);
    driver.leave();
    let recorded = driver.stop_recording().map_err(failed)?;
    if ended.is_ok() || !recorded.files.is_empty() {
        ended.and(report_end(arguments, &recorded))
    } else {
        ended
    }
}

fn record(
    driver: &mut Driver,
    wakes: &Receiver<Wake>,
    arguments: &Arguments,
    room: &str,
) -> Result<(), Failure> {
    let mut is_reason_known = false;
    loop {
        driver.step(BUDGET);
        while let Some(event) = driver.poll_event() {
            match event {
                SessionEvent::Connection(ConnectionState::Failed, Some(reason)) => {
                    return Err(Failure::Failed(reason.code(), reason.to_string()));
                }
                SessionEvent::Connection(ConnectionState::Live, _) => {
                    is_reason_known = false;
                    report_live(driver, arguments, room)?;
                }
                SessionEvent::Connection(_, Some(reason)) if !is_reason_known => {
                    is_reason_known = true;
                    if arguments.json {
                        print(&error_line(reason.code(), &reason))?;
                    } else {
                        tell_user(&format_args!("{reason}; trying again, stop with Ctrl-C"));
                    }
                }
                SessionEvent::OtherPassword(hint) => {
                    if arguments.json {
                        print(&hint_line(&hint))?;
                    } else {
                        tell_user(&hint);
                    }
                }
                _ => {}
            }
        }
        // Stopping the recording reports the error.
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

fn report_live(driver: &Driver, arguments: &Arguments, room: &str) -> Result<(), Failure> {
    let client: &teatime::Client = driver;
    if arguments.json {
        let seq = client.vm().map(teatime::Vm::seq);
        return print(&json!({
            "event": "recording", "file": arguments.to.display().to_string(), "session_id": client.session_id(),
            "view_id": client.view_id(), "seq": seq, "time_us": client.now().as_micros(),
        }));
    }
    let file = arguments.to.display();
    tell_user(&format_args!(
        "recording room {room:?} to {file}, visibly, as one more participant. Stop with Ctrl-C"
    ));
    Ok(())
}

fn report_end(arguments: &Arguments, recorded: &Recorded) -> Result<(), Failure> {
    let Recorded { files, events, until: (time, seq) } = recorded;
    if arguments.json {
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        return print(&json!({
            "event": "recorded", "files": files, "events": events, "seq": seq,
            "time_us": time.as_micros(),
        }));
    }
    if files.is_empty() {
        tell_user(&"nothing was recorded");
    } else {
        tell_user(&format_args!("{events} events recorded, up to event {seq} at {time}"));
        for more in files.iter().skip(1) {
            let more = more.display();
            tell_user(&format_args!(
                "the recording continues in {more}, after missed events or because a file was full"
            ));
        }
    }
    Ok(())
}
