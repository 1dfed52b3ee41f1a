//! Runs a program on a terminal that a test can write to, read, and take away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::pace::PATIENCE;
use crate::program::with_default_sigint;

/// A program on a terminal. Dropping it kills the program.
#[derive(Debug)]
pub struct OnTerminal {
    /// Its process.
    pub child: Child,
    keys: Option<File>,
    /// Reads until the socket is closed.
    reading: Option<(UnixStream, JoinHandle<()>)>,
    output: Receiver<Vec<u8>>,
    /// Lines and columns.
    size: (u16, u16),
    /// Everything that it has shown.
    pub shown: String,
    bytes: Vec<u8>,
}

impl OnTerminal {
    /// Starts a program on a new terminal of 24 lines and 80 columns. The terminal does not control it, so there is no
    /// SIGHUP when it is gone.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_size(command, 24, 80)
    }

    /// As [`spawn`](Self::spawn), on a terminal of another size.
    pub fn spawn_with_size(command: &mut Command, lines: u16, columns: u16) -> Self {
        // Only this process may hold the terminal, or it could not take it away.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).expect("the system has terminals");
        grantpt(&terminal).expect("the terminal is ours");
        unlockpt(&terminal).expect("the terminal is ours");
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("the terminal is ours");
        let name = ptsname(&terminal, Vec::new()).expect("the terminal has a name");
        let side = || -> Stdio {
            let side = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
            side.expect("the terminal can be opened").into()
        };
        let mut command = with_default_sigint(command);
        let child = command.stdin(side()).stdout(side()).stderr(Stdio::null()).spawn();
        let child = child.expect("the program is built");
        let mut reader = File::from(terminal);
        let keys = Some(reader.try_clone().expect("it can be cloned"));
        let (ours, theirs) = UnixStream::pair().expect("there are sockets");
        let (sender, output) = mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let mut both = [&reader as &dyn AsFd, &theirs]
                    .map(|one| PollFd::from_borrowed_fd(one.as_fd(), PollFlags::IN));
                poll(&mut both, None).expect("both can be waited for");
                if !both[1].revents().is_empty() {
                    return;
                }
                // An error when the program has ended.
                let Ok(count @ 1..) = reader.read(&mut buffer) else { return };
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        let reading = Some((ours, reading));
        let (size, shown, bytes) = ((lines, columns), String::new(), Vec::new());
        Self { child, keys, reading, output, size, shown, bytes }
    }

    /// Takes the terminal away, as the end of a terminal emulator does.
    pub fn take_away(&mut self) {
        self.keys = None;
        if let Some((ours, reading)) = self.reading.take() {
            drop(ours);
            reading.join().expect("it does not panic");
        }
    }

    /// Types keys.
    pub fn type_keys(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().expect("the terminal is there");
        terminal.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until the program has shown `text` after the first `from` bytes. Returns the end of everything shown.
    pub fn wait_for(&mut self, text: &str, from: usize) -> usize {
        let (lines, columns) = self.size;
        // A program draws only what changes, so a space that was there before is missing between two words.
        let shows = |shown: &str| {
            let mut screen = vt100::Parser::new(lines, columns, 0);
            screen.process(shown.as_bytes());
            screen.screen().contents().contains(text)
        };
        self.wait_until(text, |shown| shown[from..].contains(text) || shows(&shown[from..]));
        self.shown.len()
    }

    /// Waits until what the program has shown is as wanted.
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.shown) {
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.output.recv_timeout(rest) else {
                panic!("no {what:?} in {:?}", self.shown);
            };
            self.bytes.extend(bytes);
            let whole = self.bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            self.shown.push_str(&String::from_utf8_lossy(&self.bytes[..whole]));
            self.bytes.drain(..whole);
        }
    }

    /// Waits for the end and returns the exit status.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // What it shows must be read, or it waits for that.
            while let Ok(bytes) = self.output.try_recv() {
                self.bytes.extend(bytes);
            }
            match self.child.try_wait().expect("the process can be waited for") {
                Some(status) => return status.code(),
                None if Instant::now() > deadline => panic!("it does not end: {:?}", self.shown),
                None => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
