//! Descriptors that clients may not use up, so that storage and administration always get one.

use std::io;

use tokio::net::TcpStream;

/// The most descriptors that are kept back.
const MOST: u64 = 32;

/// The descriptors that are left to the rest of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserve {
    /// The lowest of them.
    from: Option<u64>,
}

impl Reserve {
    /// Of a process that may have this many: an eighth of them, at most 32.
    pub(super) fn of(most: Option<u64>) -> Self {
        Self { from: most.map(|most| most - (most / 8).min(MOST)) }
    }

    /// Fails if a new connection has a descriptor of the reserve. The system gives the lowest that is free, so all others are
    /// in use then.
    #[cfg(unix)]
    pub(super) fn check(self, stream: &TcpStream) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let descriptor = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
        if self.from.is_some_and(|from| descriptor >= from) {
            return Err(io::Error::other("too many open files: the rest is reserved for storage"));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    pub(super) fn check(self, _: &TcpStream) -> io::Result<()> {
        let _ = self.from;
        Ok(())
    }
}
