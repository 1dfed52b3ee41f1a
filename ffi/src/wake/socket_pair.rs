//! A file descriptor that becomes readable.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use crate::status::{Failure, Result, tea_status};

/// Two ends of a socket: a byte written to one makes the other readable. Made when it is first asked for.
#[derive(Default)]
pub(super) struct Descriptor(OnceLock<(UnixStream, UnixStream)>);

impl Descriptor {
    /// The descriptor, and whether it is new. The caller must not call this on two threads at once.
    pub(super) fn open(&self) -> Result<(i32, bool)> {
        if let Some((reader, _)) = self.0.get() {
            return Ok((reader.as_raw_fd(), false));
        }
        let made = UnixStream::pair().and_then(|(reader, writer)| {
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok((reader, writer))
        });
        let made = made.map_err(|error| Failure::new(tea_status::Io, error))?;
        let (reader, _) = self.0.get_or_init(|| made);
        Ok((reader.as_raw_fd(), true))
    }

    /// Makes it readable.
    pub(super) fn signal(&self) {
        if let Some((_, writer)) = self.0.get() {
            // A byte always fits: it is the only one.
            let _ = (&mut &*writer).write(&[1]);
        }
    }

    /// Makes it not readable.
    pub(super) fn drain(&self) {
        if let Some((reader, _)) = self.0.get() {
            let _ = (&mut &*reader).read(&mut [0]);
        }
    }
}
