//! TLS by rustls.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::Acceptor;
use rustls::{ClientConfig, ConnectionCommon, ServerConfig, ServerConnection};
use teatime_wire::ChannelBinding;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};
use tokio_tungstenite::tungstenite::Error as WsError;

use super::CertificateError;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What is wrong with a file that has no certificate in it.
const EMPTY: &str = "no certificate found (expected PEM)";

/// The certificates that a client trusts to vouch for a reflector.
#[derive(Debug, Clone)]
pub struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    /// Made once: reading the platform's certificates takes about 10 ms.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Trust {
    /// Trusts what the platform trusts, and these certificates (PEM) too: the certificate of a company, or of a
    /// reflector that signed its own.
    ///
    /// # Errors
    /// `pem` has no certificate, or one that cannot be used.
    pub fn new(pem: Option<&[u8]>) -> Result<Self, CertificateError> {
        let certificates: Result<Vec<_>, _> =
            pem.map(unmarked).into_iter().flat_map(CertificateDer::pem_slice_iter).collect();
        let certificates = certificates.map_err(|error| CertificateError::caused("", error))?;
        if pem.is_some() && certificates.is_empty() {
            return Err(CertificateError::new(EMPTY));
        }
        let trust = Self { certificates, config: Arc::default() };
        if pem.is_some() {
            trust.config().map_err(|error| CertificateError::caused("", error))?;
        }
        Ok(trust)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            // Not dangerous: the verifier is an ordinary one.
            .with_custom_certificate_verifier(self.verifier()?)
            .with_no_client_auth();
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }

    #[cfg(not(target_os = "android"))]
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        use rustls_platform_verifier::Verifier;
        if self.certificates.is_empty() {
            return Ok(Arc::new(Verifier::new(provider())?));
        }
        let roots = self.certificates.iter().cloned();
        Ok(Arc::new(Verifier::new_with_extra_roots(roots, provider())?))
    }

    /// Android offers its own verifier through Java only. So these are the roots of Mozilla's list, without
    /// those that the owner of the phone may have added.
    #[cfg(target_os = "android")]
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        use rustls::client::WebPkiServerVerifier;
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for certificate in &self.certificates {
            roots.add(certificate.clone())?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Ok(verifier.map_err(|error| rustls::Error::General(error.to_string()))?)
    }
}

/// Encrypts a connection of a client, and checks that the server is this host. Returns what the connection is recognized by,
/// too.
pub(crate) async fn connect(
    trust: &Trust,
    host: &str,
    stream: TcpStream,
) -> io::Result<(client::TlsStream<TcpStream>, ChannelBinding)> {
    let config = trust.config().map_err(std::io::Error::other)?;
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let binding = export(stream.get_ref().1)?;
    Ok((stream, binding))
}

/// What both ends recognize a connection by: `tls-exporter` (RFC 9266).
fn export<T>(connection: &ConnectionCommon<T>) -> io::Result<ChannelBinding> {
    let exported = connection.export_keying_material([0; 32], ChannelBinding::LABEL, Some(b""));
    exported.map(ChannelBinding).map_err(io::Error::other)
}

/// Whether a connection failed because of the server's certificate.
pub(crate) fn is_about_certificate(error: &WsError) -> bool {
    let WsError::Io(error) = error else { return false };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(
        cause,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

/// The certificate and key of a server. They may be replaced while the server runs.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<RwLock<Arc<ServerConfig>>>);

impl Identity {
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self(Arc::new(RwLock::new(read(certificate, key)?))))
    }

    /// Reads the files again. If they cannot be used, the old identity stays.
    pub(crate) fn reload(&self, certificate: &Path, key: &Path) -> Result<(), CertificateError> {
        let config = read(certificate, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Encrypts a connection that a client has opened. The client hello must be complete by then.
    pub(crate) async fn accept(&self, stream: TcpStream, hello: Instant) -> io::Result<Accepted> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let start = timeout_at(hello, start).await??;
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        start.into_stream(config).await
    }
}

/// The text without the byte order mark that some editors begin a file with.
fn unmarked(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem)
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CertificateError> {
    let in_file = |path: &Path| format!("{}: ", path.display());
    let file = |path: &Path| {
        fs::read(path).map_err(|error| CertificateError::caused(in_file(path), error))
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(unmarked(&file(certificate)?)).collect();
    let chain = chain.map_err(|error| CertificateError::caused(in_file(certificate), error))?;
    if chain.is_empty() {
        return Err(CertificateError::new(in_file(certificate) + EMPTY));
    }
    let secret = PrivateKeyDer::from_pem_slice(unmarked(&file(key)?))
        .map_err(|error| CertificateError::caused(in_file(key), error))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| CertificateError::caused("", error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| {
            let place = in_file(key) + "the key does not fit the certificate: ";
            CertificateError::caused(place, error)
        })?;
    // Without it, a machine in the middle can give two connections of TLS 1.2 the same channel binding (RFC 9266,
    // section 4.2).
    config.require_ems = true;
    Ok(Arc::new(config))
}

/// A connection that a server has encrypted.
pub(crate) type Accepted = server::TlsStream<TcpStream>;

/// What both ends recognize the connection by.
pub(crate) fn binding_of(accepted: &Accepted) -> io::Result<ChannelBinding> {
    export(accepted.get_ref().1)
}

/// Takes an encrypted connection apart: the socket, and the encryption that goes with it.
pub(crate) fn take_apart(accepted: Accepted) -> (TcpStream, Layer) {
    let (socket, tls) = accepted.into_inner();
    (socket, Layer(Box::new(tls)))
}

/// Encrypted bytes that may wait for the socket: one write of a burst.
const BUFFER: usize = 64 * 1024;

/// The encryption of a server's connection, which reads and writes a socket without blocking.
pub(crate) struct Layer(Box<ServerConnection>);

impl Layer {
    /// Bounds what may wait for the socket.
    pub(crate) fn prepare(&mut self) {
        self.0.set_buffer_limit(Some(BUFFER));
    }

    /// Reads decrypted bytes; 0 at the end, `WouldBlock` if there are none.
    pub(crate) fn try_read(&mut self, socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.0.read_tls(&mut Socket(socket))? == 0 {
                return Ok(0);
            }
            let processed = self.0.process_new_packets();
            // Alerts and answers to the client. What the socket does not take goes out with the next write.
            let _ = self.try_flush(socket);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Encrypts and writes some of the bytes, or `WouldBlock`.
    pub(crate) fn try_write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.0.writer().write(bytes)?;
        self.try_flush(socket)?;
        Ok(written)
    }

    /// Writes encrypted bytes to the socket; true when none are left.
    pub(crate) fn try_flush(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Announces the end of the connection.
    pub(crate) fn say_goodbye(&mut self, socket: &TcpStream) {
        self.0.send_close_notify();
        // If the socket does not take it, the connection ends without.
        let _ = self.try_flush(socket);
    }
}

/// The socket as rustls reads and writes it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
