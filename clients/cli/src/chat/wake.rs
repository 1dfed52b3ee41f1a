//! What a chat waits for: the network, the user, signals, and time.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender};

use super::room::Room;

/// What a chat waits for.
pub(super) enum Wake {
    /// The network has news.
    Network,
    /// A line of standard input.
    Line(String),
    /// Standard input has ended.
    EndOfInput,
    /// An event of the terminal, such as a key.
    Terminal(ratatui::crossterm::event::Event),
    /// The terminal is gone.
    Gone,
    /// The program is to stop until it is continued: Ctrl-Z, or SIGTSTP from outside.
    Stop,
    /// The program continues after it was stopped.
    Continued,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

/// Passes standard input on, line by line, from a thread of its own.
pub(super) fn read_lines(sender: Sender<Wake>) {
    std::thread::spawn(move || {
        let mut is_first = true;
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            // Some editors begin a file with a byte order mark.
            if std::mem::take(&mut is_first) && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if sender.send(Wake::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
        let _ = sender.send(Wake::EndOfInput);
    });
}

/// Waits until something happens or a step is due, and returns everything that has happened.
pub(super) fn wait(room: &Room, wakes: &Receiver<Wake>) -> Vec<Wake> {
    let first = match room.next_due() {
        Some(pause) => wakes.recv_timeout(pause).ok(),
        None => wakes.recv().ok(),
    };
    first.into_iter().chain(wakes.try_iter()).collect()
}
