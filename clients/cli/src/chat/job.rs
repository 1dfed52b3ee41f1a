//! What a program on a whole terminal owes to the shell: it stops and continues, and ends with its terminal.

use std::io;
use std::sync::mpsc::Sender;

#[cfg(unix)]
use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType};

use super::wake::Wake;

/// Takes the terminal over.
///
/// # Errors
/// If it cannot be used.
pub(super) fn enter() -> io::Result<DefaultTerminal> {
    let terminal = ratatui::try_init()?;
    // After a stop the screen may be that of another program. A terminal without bracketed paste pastes key by key.
    execute!(io::stdout(), Clear(ClearType::All), EnableBracketedPaste)?;
    Ok(terminal)
}

/// Gives the terminal back. A terminal that is gone needs nothing.
pub(super) fn leave() {
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    let _ = ratatui::try_restore();
}

/// SIGTSTP: Ctrl-Z, and `kill -TSTP` of another program.
#[cfg(unix)]
fn stop_signal() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTSTP);
    signals
}

/// From now on SIGTSTP does not stop this thread and those that it starts: [`watch`] reports it, so that the terminal is
/// given back first. To be called before other threads start.
#[cfg(unix)]
pub(super) fn hold_stops() {
    // It fails only for other arguments.
    let _ = stop_signal().thread_block();
}

/// Asks the whole group to stop, because it may contain a program that started this one: Ctrl-Z, which raw mode turns into a
/// key. [`watch`] reports it, as if it came from outside.
#[cfg(unix)]
pub(super) fn ask_to_stop() {
    use rustix::process::{Signal, kill_current_process_group};
    let _ = kill_current_process_group(Signal::TSTP);
}

/// Stops the program, and returns when it continues. Returns at once if no shell waits for its group: the system does not stop
/// such a group.
#[cfg(unix)]
pub(super) fn stop() {
    let signals = stop_signal();
    let _ = signals.thread_unblock();
    let _ = raise(Signal::SIGTSTP);
    let _ = signals.thread_block();
}

#[cfg(not(unix))]
pub(super) fn hold_stops() {}

#[cfg(not(unix))]
pub(super) fn ask_to_stop() {}

#[cfg(not(unix))]
pub(super) fn stop() {}

/// Reports on threads of their own when the terminal is gone, when the program is to stop, and when it continues after it was
/// stopped.
///
/// A terminal that is gone gives no SIGHUP to a program that it does not control. The reader of keys would ask it again
/// and again.
#[cfg(unix)]
pub(super) fn watch(sender: Sender<Wake>) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    let (stopping, continued) = (sender.clone(), sender.clone());
    std::thread::spawn(move || {
        while stop_signal().wait().is_ok() {
            if stopping.send(Wake::Stop).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let stdin = io::stdin();
        // Without flags it reports only that the terminal is gone.
        let mut terminal = [PollFd::new(&stdin, PollFlags::empty())];
        while poll(&mut terminal, None) == Err(Errno::INTR) {}
        let _ = sender.send(Wake::Gone);
    });
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([signal_hook::consts::SIGCONT]) {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if continued.send(Wake::Continued).is_err() {
                    return;
                }
            }
        });
    }
}

#[cfg(not(unix))]
pub(super) fn watch(_: Sender<Wake>) {}
