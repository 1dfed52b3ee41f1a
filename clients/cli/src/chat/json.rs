//! `--json`: one object a line, both ways.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use serde::Deserialize;
use serde_json::{Value, json};
use teatime::{ConnectionState, Divergence, NotPersisted, SessionEvent};
use teatime_chat::ChatUpdate;

use super::room::{Command, Room};
use super::{Wake, wait};
use crate::Failure;
use crate::codes::error_line;

/// What a line of standard input may be.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Order {
    Post { text: String },
    Reset,
    Vote,
    Leave,
}

/// Runs until the user leaves or the session fails.
pub(crate) fn run(mut room: Room, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut form = Form { leaving: false, was_reconnecting: false, told_unreachable: false };
    loop {
        for error in room.step()? {
            print(&error_line(error.code(), &error))?;
        }
        if form.tell(&mut room)? {
            return Err(Failure::Told);
        }
        if form.leaving && room.is_settled() {
            break;
        }
        for wake in wait(&room, wakes) {
            match wake {
                Wake::Line(line) if !form.leaving => form.obey(&mut room, &line)?,
                Wake::EndOfInput => form.leaving = true,
                Wake::Signal => {
                    room.leave();
                    return form.tell(&mut room).map(|_| ());
                }
                _ => {}
            }
        }
    }
    room.leave();
    form.tell(&mut room).map(|_| ())
}

/// Why there is no session for now: tried again and again, and told once.
const UNREACHED: [&str; 3] = ["UNREACHABLE", "BAD_CERTIFICATE", "NOT_STORED"];

struct Form {
    leaving: bool,
    was_reconnecting: bool,
    told_unreachable: bool,
}

impl Form {
    fn obey(&mut self, room: &mut Room, line: &str) -> Result<(), Failure> {
        match serde_json::from_str(line) {
            Ok(Order::Post { text }) => room.ask(Command::Post(text)),
            Ok(Order::Reset) => room.ask(Command::Reset),
            Ok(Order::Vote) => room.ask(Command::Vote),
            Ok(Order::Leave) => self.leaving = true,
            Err(error) => print(&error_line("BAD_COMMAND", &error))?,
        }
        Ok(())
    }

    /// Prints what has happened; true if the session has failed.
    fn tell(&mut self, room: &mut Room) -> Result<bool, Failure> {
        while let Some(event) = room.poll_event() {
            match event {
                SessionEvent::Connection(state, reason) => {
                    if let Some(reason) = reason {
                        if state == ConnectionState::Failed {
                            print(&error_line(reason.code(), &reason))?;
                            return Ok(true);
                        }
                        if !self.told_unreachable && UNREACHED.contains(&reason.code()) {
                            self.told_unreachable = true;
                            print(&error_line(reason.code(), &reason))?;
                        }
                    }
                    self.tell_connection(state)?;
                }
                SessionEvent::State { seq, time, hash } => print(&json!({
                    "event": "state", "seq": seq, "time_us": time.as_micros(),
                    "hash": hash.to_string(),
                }))?,
                SessionEvent::Verdict { seq, hash, agreed, of } => print(&json!({
                    "event": "verdict", "seq": seq, "hash": hash.map(|hash| hash.to_string()),
                    "agreed": agreed, "of": of,
                }))?,
                SessionEvent::Fault(fault) => print(&error_line("FAULT", &fault))?,
                SessionEvent::Diverged(divergence) => tell_divergence(&divergence)?,
                SessionEvent::NewerVersion(newer) => print(&json!({
                    "event": "newer_version", "version": newer.newer, "own": newer.own,
                    "message": newer.to_string(),
                }))?,
                SessionEvent::NotPersisted(why) => {
                    let is_failure = matches!(why, NotPersisted::NotStored(_));
                    let code = is_failure.then_some("NOT_STORED");
                    print(&json!({
                        "event": "not_persisted", "code": code, "message": why.to_string(),
                    }))?;
                }
                SessionEvent::FaultRecorded(Ok(file)) => {
                    let file = file.display().to_string();
                    print(&json!({ "event": "fault_kept", "recording": file }))?;
                }
                SessionEvent::FaultRecorded(Err(why)) => print(&error_line("IO", &why))?,
                _ => {}
            }
        }
        while let Some(update) = room.poll_update() {
            match update {
                ChatUpdate::Joined => {
                    print(&joined(room))?;
                    print(&history(room))?;
                    print(&view_info(room))?;
                }
                ChatUpdate::History => print(&history(room))?,
                ChatUpdate::ViewInfo => print(&view_info(room))?,
            }
        }
        Ok(false)
    }

    fn tell_connection(&mut self, state: ConnectionState) -> Result<(), Failure> {
        let tell = match state {
            ConnectionState::Reconnecting => !std::mem::replace(&mut self.was_reconnecting, true),
            ConnectionState::Live => {
                self.told_unreachable = false;
                std::mem::take(&mut self.was_reconnecting)
            }
            ConnectionState::Left => true,
            _ => false,
        };
        if tell {
            print(&json!({ "event": "connection", "state": state.name() }))?;
        }
        Ok(())
    }
}

fn tell_divergence(divergence: &Divergence) -> Result<(), Failure> {
    let Divergence { seq, time, hash, file, .. } = divergence;
    let kept = file.as_ref().and_then(|file| file.as_ref().ok());
    print(&json!({
        "event": "diverged", "seq": seq, "time_us": time.as_micros(), "hash": hash.to_string(),
        "evidence": kept.map(|file| file.display().to_string()),
    }))?;
    match file {
        Some(Err(why)) => print(&error_line("IO", why)),
        _ => Ok(()),
    }
}

fn joined(room: &Room) -> Value {
    json!({
        "event": "joined",
        "session_id": room.session().id().to_string(),
        "view_id": room.session().view_id().to_string(),
        "nickname": room.nickname(),
        "participants": room.model().map(|model| model.participants()),
        "badge": room.badge().to_string(),
        "link": room.link(),
    })
}

fn history(room: &Room) -> Value {
    json!({ "event": "history", "items": room.model().map(|model| model.history()) })
}

fn view_info(room: &Room) -> Value {
    json!({
        "event": "view_info",
        "nickname": room.nickname(),
        "participants": room.model().map(|model| model.participants()),
    })
}

/// Prints a line at once. If nobody reads any more there is nothing left to do.
fn print(line: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Told),
        Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
