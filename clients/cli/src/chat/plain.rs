//! `--plain`: prints the history as text as it grows, and posts each line of input.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use teatime::{ConnectionState, SessionEvent};
use teatime_chat::{ChatUpdate, Line, plain_text};

use super::room::{Command, Room, diverged, fault_recorded};
use super::wake::{Wake, wait};
use crate::terminal::{Failure, printable, tell_user, written};

/// Runs until the end of input, a signal, or a failure.
pub(crate) fn run(mut room: Room, wakes: &Receiver<Wake>) -> Result<(), Failure> {
    let mut shown = Vec::new();
    let mut leaving = false;
    let mut is_trouble_known = false;
    loop {
        for error in room.step()? {
            tell_user(&format_args!("not sent: {error}"));
        }
        while let Some(event) = room.poll_event() {
            report(&room, &event, &mut is_trouble_known)?;
        }
        while let Some(update) = room.poll_update() {
            if update != ChatUpdate::ViewInfo
                && let Some(model) = room.model()
            {
                let history = model.history();
                show(new_lines(&shown, &history))?;
                shown = history;
            }
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
            return Err(Failure::Failed(reason.to_string()));
        }
        SessionEvent::Connection(ConnectionState::Live, _) => {
            *is_trouble_known = false;
            tell_user(&format_args!("in room {:?} as {}", room.name(), room.nickname()));
        }
        SessionEvent::Connection(_, Some(reason)) if !*is_trouble_known => {
            *is_trouble_known = true;
            tell_user(&format_args!("{reason}; trying again, stop with Ctrl-C"));
        }
        SessionEvent::Diverged(divergence) => tell_user(&diverged(divergence)),
        SessionEvent::NewerVersion(newer) => tell_user(newer),
        SessionEvent::NotPersisted(why) => tell_user(why),
        SessionEvent::FaultRecorded(recorded) => tell_user(&fault_recorded(recorded)),
        _ => {}
    }
    Ok(())
}

/// The lines at the end of `now` that `before` lacks. The history grows at its end and shrinks at its front, or a
/// reset replaces it.
fn new_lines<'a>(before: &[Line], now: &'a [Line]) -> &'a [Line] {
    let longest = before.len().min(now.len());
    let common = (0..=longest).rev().find(|n| before[before.len() - n..] == now[..*n]);
    &now[common.unwrap_or(0)..]
}

fn show(lines: &[Line]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let result = lines
        .iter()
        // One line each, even if the post has line breaks.
        .map(|line| printable(&plain_text(&line.html).replace('\n', " ")))
        .try_for_each(|line| writeln!(out, "{line}"))
        .and_then(|()| out.flush());
    written(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        let line = |text: &&str| Line { view_id: None, html: (*text).to_owned() };
        texts.iter().map(line).collect()
    }

    #[test]
    fn only_new_lines_are_shown_also_after_the_oldest_have_gone_and_after_a_reset() {
        let new = |before: &[&str], now: &[&str]| {
            let now = lines(now);
            new_lines(&lines(before), &now).iter().map(|line| line.html.clone()).collect::<Vec<_>>()
        };
        assert_eq!(new(&[], &["a", "b"]), ["a", "b"]);
        assert_eq!(new(&["a", "b"], &["a", "b"]), [""; 0]);
        assert_eq!(new(&["a", "b", "c"], &["b", "c", "d"]), ["d"]);
        assert_eq!(new(&["a", "b"], &["reset"]), ["reset"]);
    }
}
