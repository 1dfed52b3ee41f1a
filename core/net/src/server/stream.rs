//! A connection's stream: plain, or through TLS, without blocking and without a task of its own.

use std::cell::RefCell;
use std::io;

use tokio::net::TcpStream;

use crate::tls::Layer;

/// The encryption of a connection that has been set up.
pub(crate) type Tls = Layer;

/// A stream of a connection.
pub(crate) struct Stream {
    socket: TcpStream,
    tls: Option<RefCell<Layer>>,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, tls: Option<Layer>) -> Self {
        let tls = tls.map(|mut tls| {
            tls.prepare();
            tls.into()
        });
        Self { socket, tls }
    }

    /// Whether reads may come from a buffer of decrypted bytes. Then the socket may have nothing to read while
    /// the stream has.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
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
        if let Some(tls) = &self.tls {
            tls.borrow_mut().say_goodbye(&self.socket);
        }
        // It fails if the other side has ended the connection already.
        let _ = socket2::SockRef::from(&self.socket).shutdown(how);
    }

    /// Reads what is there; 0 at the end, `WouldBlock` if there is nothing. Call it until it would block:
    /// decrypted bytes do not make the socket readable again.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().try_read(&self.socket, into),
            None => self.socket.try_read(into),
        }
    }

    /// Writes some of the bytes, or `WouldBlock`.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().try_write(&self.socket, bytes),
            None => self.socket.try_write(bytes),
        }
    }

    /// Sends encrypted bytes that still wait here; true when none are left.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().try_flush(&self.socket),
            None => Ok(true),
        }
    }
}
