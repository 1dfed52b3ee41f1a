//! A build without TLS: certificates are refused, and so are connections that would need them.

use std::io;
use std::path::Path;

use teatime_wire::ChannelBinding;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error as WsError;

use super::CertificateError;

const WHY: &str = "this build has no TLS";

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, WHY)
}

/// Whom a client trusts to be a reflector. This build trusts no certificate.
#[derive(Debug, Clone)]
pub struct Trust;

impl Trust {
    /// # Errors
    /// Any certificate is refused.
    pub fn new(pem: Option<&[u8]>) -> Result<Self, CertificateError> {
        match pem {
            None => Ok(Self),
            Some(_) => Err(CertificateError::new(WHY)),
        }
    }
}

/// Fails: the caller wanted an encrypted connection.
pub(crate) async fn connect(
    _: &Trust,
    _: &str,
    _: TcpStream,
) -> io::Result<(TcpStream, ChannelBinding)> {
    Err(unsupported())
}

/// No error is about a certificate here.
pub(crate) fn is_about_certificate(_: &WsError) -> bool {
    false
}

/// The certificate of a server. It cannot be loaded in this build.
#[derive(Debug, Clone)]
pub(crate) struct Identity;

impl Identity {
    pub(crate) fn load(_: &Path, _: &Path) -> Result<Self, CertificateError> {
        Err(CertificateError::new(WHY))
    }

    pub(crate) fn reload(&self, _: &Path, _: &Path) -> Result<(), CertificateError> {
        Err(CertificateError::new(WHY))
    }

    pub(crate) async fn accept(&self, _: TcpStream, _: Instant) -> io::Result<Accepted> {
        Err(unsupported())
    }
}

/// A connection that a server has encrypted.
pub(crate) type Accepted = TcpStream;

/// No connection is encrypted here.
pub(crate) fn binding_of(_: &Accepted) -> io::Result<ChannelBinding> {
    Err(unsupported())
}

/// Takes an encrypted connection apart.
pub(crate) fn take_apart(accepted: Accepted) -> (TcpStream, Layer) {
    (accepted, Layer)
}

/// The encryption of a connection. There is none.
pub(crate) struct Layer;

impl Layer {
    pub(crate) fn prepare(&mut self) {}

    pub(crate) fn try_read(&mut self, socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        socket.try_read(into)
    }

    pub(crate) fn try_write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        socket.try_write(bytes)
    }

    pub(crate) fn try_flush(&mut self, _: &TcpStream) -> io::Result<bool> {
        Ok(true)
    }

    pub(crate) fn say_goodbye(&mut self, _: &TcpStream) {}
}
