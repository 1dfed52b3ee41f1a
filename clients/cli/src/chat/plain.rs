//! `--plain`: prints the history as text as it grows, and posts each line of input.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use teatime::{ConnectionState, SessionEvent};
use teatime_chat::{ChatUpdate, History, Line, plain_text, printable};

use super::room::{Command, Room, diverged, fault_recorded};
use super::wake::{Wake, wait};
use crate::addresses::Way;
use crate::terminal::{Failure, tell_user, written};

/// Runs until the end of input, a signal, or a failure.
pub(crate) fn run(mut room: Room, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut shown = History::default();
    let mut leaving = false;
    let mut is_trouble_known = false;
    loop {
        for error in room.step()? {
            tell_user(&format_args!("not sent: {error}"));
        }
        if let Some(notice) = room.take_move() {
            tell_user(&notice);
        }
        while let Some(event) = room.poll_event() {
            report(&room, &event, &mut is_trouble_known)?;
        }
        while let Some(update) = room.poll_update() {
            match update {
                ChatUpdate::Joined => {
                    let now = room.history();
                    let seen = now.lines().len() - now.unseen(&shown);
                    show(now.lines().iter().skip(seen))?;
                }
                ChatUpdate::History(change) => show([&change.line])?,
                ChatUpdate::ViewInfo => continue,
            }
            shown = room.history();
        }
        if leaving && room.is_settled() {
            break;
        }
        for wake in wait(&room, wakes) {
            match wake {
                Wake::Line(line) => room.ask(Command::Say(line)),
                Wake::EndOfInput => leaving = true,
                Wake::Signal => {
                    room.leave();
                    return Ok(());
                }
                _ => {}
            }
        }
    }
    room.leave();
    Ok(())
}

/// Reports on the connection to standard error: it is not part of the chat.
fn report(room: &Room, event: &SessionEvent, is_trouble_known: &mut bool) -> Result<(), Failure> {
    match event {
        SessionEvent::Connection(ConnectionState::Failed, Some(reason)) => {
            return Err(Failure::Failed(reason.code(), reason.to_string()));
        }
        SessionEvent::Connection(ConnectionState::Live, _) => {
            *is_trouble_known = false;
            tell_user(&format_args!("in room {:?} as {}", room.name(), room.nickname()));
            if let Some(why) = room.local_only() {
                tell_user(&why.long);
            }
            for (way, _) in room.ways() {
                // Not the link, which has the password.
                let Way { url, interface } = way;
                tell_user(&format_args!(
                    "other machines can join with --reflector {url} ({interface})"
                ));
            }
        }
        SessionEvent::Connection(_, Some(reason)) if !*is_trouble_known => {
            *is_trouble_known = true;
            tell_user(&format_args!("{reason}; trying again, stop with Ctrl-C"));
        }
        SessionEvent::Diverged(divergence) => tell_user(&diverged(divergence)),
        SessionEvent::NewerVersion(newer) => tell_user(newer),
        SessionEvent::OtherPassword(hint) => tell_user(hint),
        SessionEvent::NotPersisted(why) => tell_user(why),
        SessionEvent::Unconfirmed(sends) => tell_user(sends),
        SessionEvent::Disagreement(found) => tell_user(found),
        SessionEvent::Alarm(alarm) => tell_user(alarm),
        SessionEvent::FaultRecorded(recorded) => tell_user(&fault_recorded(recorded)),
        _ => {}
    }
    Ok(())
}

fn show<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let result = lines
        .into_iter()
        .map(|line| printable(&plain_text(&line.html)))
        .try_for_each(|line| writeln!(out, "{line}"))
        .and_then(|()| out.flush());
    written(result)
}
