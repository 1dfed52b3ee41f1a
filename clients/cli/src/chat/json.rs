//! `--json`: one object a line, both ways.

use std::sync::mpsc::Receiver;

use serde::Deserialize;
use serde_json::{Value, json};
use teatime::{ConnectionState, DisconnectReason, Divergence, NotPersisted, SessionEvent};
use teatime_chat::ChatUpdate;
use teatime_wire::CloseReason;

use super::room::{Command, Room};
use super::wake::{Wake, wait};
use crate::addresses::Way;
use crate::codes::{error_line, hint_line};
use crate::terminal::{Failure, print};

/// A line of standard input.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Order {
    Post { text: String },
    Typing,
    Reset,
    Vote,
    Leave,
}

/// Runs until the user leaves or the session fails.
pub(crate) fn run(mut room: Room, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut reporter = Reporter {
        leaving: false,
        was_reconnecting: false,
        is_trouble_known: false,
        typing: Vec::new(),
    };
    loop {
        for error in room.step()? {
            print(&error_line(error.code(), &error))?;
        }
        if let Some(notice) = room.take_move() {
            print(&json!({ "event": "moved", "message": notice }))?;
        }
        if reporter.report(&mut room)? {
            return Err(Failure::Reported);
        }
        if reporter.leaving && room.is_settled() {
            break;
        }
        for wake in wait(&room, wakes) {
            match wake {
                Wake::Line(line) if !reporter.leaving => reporter.obey(&mut room, &line)?,
                Wake::EndOfInput => reporter.leaving = true,
                Wake::Signal => {
                    room.leave();
                    return reporter.report(&mut room).map(|_| ());
                }
                _ => {}
            }
        }
    }
    room.leave();
    reporter.report(&mut room).map(|_| ())
}

/// Whether the user should know the reason, although the client tries again. It is printed once.
fn is_trouble(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::Unreachable(_)
            | DisconnectReason::BadCertificate(_)
            | DisconnectReason::Closed(CloseReason::NotStored, _)
    )
}

/// What has been printed, and what the user wants.
struct Reporter {
    leaving: bool,
    was_reconnecting: bool,
    is_trouble_known: bool,
    /// Who is typing.
    typing: Vec<String>,
}

impl Reporter {
    fn obey(&mut self, room: &mut Room, line: &str) -> Result<(), Failure> {
        match serde_json::from_str(line) {
            Ok(Order::Post { text }) => {
                room.set_typing(false);
                room.ask(Command::Post(text));
            }
            Ok(Order::Typing) => room.set_typing(true),
            Ok(Order::Reset) => room.ask(Command::Reset),
            Ok(Order::Vote) => room.ask(Command::Vote),
            Ok(Order::Leave) => self.leaving = true,
            Err(error) => print(&error_line("BAD_COMMAND", &error))?,
        }
        Ok(())
    }

    /// Prints what has happened. Returns true if the session has failed.
    fn report(&mut self, room: &mut Room) -> Result<bool, Failure> {
        while let Some(event) = room.poll_event() {
            match event {
                SessionEvent::Connection(state, reason) => {
                    if let Some(reason) = reason {
                        if state == ConnectionState::Failed {
                            print(&error_line(reason.code(), &reason))?;
                            return Ok(true);
                        }
                        if !self.is_trouble_known && is_trouble(&reason) {
                            self.is_trouble_known = true;
                            print(&error_line(reason.code(), &reason))?;
                        }
                    }
                    self.report_connection(state)?;
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
                SessionEvent::Diverged(divergence) => report_divergence(&divergence)?,
                SessionEvent::NewerVersion(newer) => print(&json!({
                    "event": "newer_version", "version": newer.newer, "own": newer.own,
                    "message": newer.to_string(),
                }))?,
                SessionEvent::PresencesChanged => self.report_typing(room)?,
                SessionEvent::OtherPassword(hint) => print(&hint_line(&hint))?,
                SessionEvent::NotPersisted(why) => {
                    let is_failure = matches!(why, NotPersisted::NotStored(_));
                    let code = is_failure.then_some("NOT_STORED");
                    print(&json!({
                        "event": "not_persisted", "code": code, "message": why.to_string(),
                    }))?;
                }
                SessionEvent::Unconfirmed(sends) => print(&json!({
                    "event": "unconfirmed", "count": sends.count, "message": sends.to_string(),
                }))?,
                SessionEvent::Disagreement(found) => print(&json!({
                    "event": "disagreement", "seq": found.seq, "message": found.to_string(),
                }))?,
                SessionEvent::Alarm(alarm) => print(&json!({
                    "event": "alarm", "kind": alarm.kind.name(), "seq": alarm.seq,
                    "participant": alarm.participant.map(|view| view.to_string()),
                    "message": alarm.to_string(),
                }))?,
                SessionEvent::FaultRecorded(Ok(file)) => {
                    let file = file.display().to_string();
                    print(&json!({ "event": "fault_recorded", "recording": file }))?;
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
                ChatUpdate::History(_) => print(&history(room))?,
                ChatUpdate::ViewInfo => print(&view_info(room))?,
            }
        }
        Ok(false)
    }

    /// Prints who is typing, if that has changed.
    fn report_typing(&mut self, room: &Room) -> Result<(), Failure> {
        let typing = room.who_types();
        if typing != self.typing {
            print(&json!({ "event": "typing", "nicknames": typing }))?;
            self.typing = typing;
        }
        Ok(())
    }

    fn report_connection(&mut self, state: ConnectionState) -> Result<(), Failure> {
        let is_news = match state {
            ConnectionState::Reconnecting => !std::mem::replace(&mut self.was_reconnecting, true),
            ConnectionState::Live => {
                self.is_trouble_known = false;
                std::mem::take(&mut self.was_reconnecting)
            }
            ConnectionState::Left => true,
            _ => false,
        };
        if is_news {
            print(&json!({ "event": "connection", "state": state.name() }))?;
        }
        Ok(())
    }
}

fn report_divergence(divergence: &Divergence) -> Result<(), Failure> {
    print(&diverged(divergence))?;
    match &divergence.file {
        Some(Err(why)) => print(&error_line("IO", why)),
        _ => Ok(()),
    }
}

fn diverged(divergence: &Divergence) -> Value {
    let Divergence { seq, time, hash, file, .. } = divergence;
    let written = file.as_ref().and_then(|file| file.as_ref().ok());
    json!({
        "event": "diverged", "seq": seq, "time_us": time.as_micros(), "hash": hash.to_string(),
        "evidence": written.map(|file| file.display().to_string()),
    })
}

fn joined(room: &Room) -> Value {
    let way = |(way, link): (&Way, String)| json!({ "interface": way.interface, "url": way.url, "link": link });
    let ways: Vec<_> = room.ways().map(way).collect();
    json!({
        "event": "joined",
        "session_id": room.session().session_id().to_string(),
        "view_id": room.session().view_id().to_string(),
        "nickname": room.nickname(),
        "participants": room.model().map(|model| model.participants()),
        "badge": room.badge().to_string(),
        "link": room.link(),
        "local_only": room.local_only().is_some(),
        "ways": ways,
    })
}

fn history(room: &Room) -> Value {
    json!({ "event": "history", "items": room.history().lines() })
}

fn view_info(room: &Room) -> Value {
    json!({
        "event": "view_info",
        "nickname": room.nickname(),
        "participants": room.model().map(|model| model.participants()),
    })
}

#[cfg(test)]
mod tests {
    use teatime::{StateHash, Time};

    use super::*;

    #[test]
    fn a_divergence_says_where_the_evidence_is() {
        let mut divergence = Divergence {
            seq: 7,
            time: Time::from_micros(9),
            hash: StateHash([0xab; 32]),
            right: None,
            evidence: [].into(),
            file: Some(Ok("a/b".into())),
        };
        let line = json!({
            "event": "diverged", "seq": 7, "time_us": 9, "hash": "ab".repeat(32),
            "evidence": "a/b",
        });
        assert_eq!(diverged(&divergence), line);
        divergence.file = Some(Err("no".to_owned()));
        assert_eq!(diverged(&divergence)["evidence"], Value::Null);
    }
}
