//! A connection's stream: plain, or through TLS, without blocking and without a task of its own.

use std::io;

use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use rustls::ServerConnection;

/// A TLS session that has been set up; none in a build without TLS.
#[cfg(feature = "tls")]
pub(crate) type Tls = Box<ServerConnection>;
#[cfg(not(feature = "tls"))]
pub(crate) type Tls = std::convert::Infallible;

/// A stream of a connection.
pub(crate) struct Stream {
    socket: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<std::cell::RefCell<Tls>>,
}

/// Encrypted bytes that may wait for the socket: one write of a burst.
#[cfg(feature = "tls")]
const TLS_BUFFER: usize = 64 * 1024;

impl Stream {
    pub(crate) fn new(socket: TcpStream, tls: Option<Tls>) -> Self {
        #[cfg(feature = "tls")]
        let tls = tls.map(|mut tls| {
            tls.set_buffer_limit(Some(TLS_BUFFER));
            tls.into()
        });
        #[cfg(not(feature = "tls"))]
        let _none = tls;
        Self {
            socket,
            #[cfg(feature = "tls")]
            tls,
        }
    }

    /// Whether what is read may come from a buffer: then the socket says too little.
    pub(crate) fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Waits until a read is worthwhile.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until a write is worthwhile.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Ends the socket, or one direction of it.
    pub(crate) fn shutdown(&self, how: std::net::Shutdown) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let mut tls = tls.borrow_mut();
            tls.send_close_notify();
            // If the socket does not take it, the stream ends without.
            let _ = write_out(&mut tls, &self.socket);
        }
        // It may have ended already.
        let _ = socket2::SockRef::from(&self.socket).shutdown(how);
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(into)
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    /// Sends what was written and still waits here. Returns true when nothing is left.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Reads what is there: 0 at the end, `WouldBlock` if nothing is there. Call it until it would
    /// block, because decrypted bytes do not make the socket readable again.
    #[cfg(feature = "tls")]
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        use std::io::Read;
        let Some(tls) = &self.tls else { return self.socket.try_read(into) };
        let mut tls = tls.borrow_mut();
        loop {
            match tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut Socket(&self.socket))? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // Alerts and answers to the other side; what does not fit goes out with the next write.
            let _ = write_out(&mut tls, &self.socket);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes some of the bytes, or `WouldBlock`.
    #[cfg(feature = "tls")]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        use std::io::Write;
        let Some(tls) = &self.tls else { return self.socket.try_write(bytes) };
        let mut tls = tls.borrow_mut();
        if !write_out(&mut tls, &self.socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = tls.writer().write(bytes)?;
        write_out(&mut tls, &self.socket)?;
        Ok(written)
    }

    /// Sends what was written and still waits here. Returns true when nothing is left.
    #[cfg(feature = "tls")]
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match &self.tls {
            Some(tls) => write_out(&mut tls.borrow_mut(), &self.socket),
            None => Ok(true),
        }
    }
}

/// Gives encrypted bytes to the socket; true when none are left.
#[cfg(feature = "tls")]
fn write_out(tls: &mut ServerConnection, socket: &TcpStream) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut Socket(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The socket as rustls reads and writes it.
#[cfg(feature = "tls")]
struct Socket<'a>(&'a TcpStream);

#[cfg(feature = "tls")]
impl io::Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

#[cfg(feature = "tls")]
impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
