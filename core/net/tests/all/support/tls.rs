//! Certificates, and both ends of TLS as a machine that the server does not know has them.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use teatime_net::server::TlsFiles;
use teatime_wire::ChannelBinding;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

/// A certificate for 127.0.0.1 with its key.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    files: TlsFiles,
}

impl Identity {
    /// Stores it in this folder, too.
    pub(crate) fn new(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a name");
        let files = TlsFiles { certificate: folder.join("certificate"), key: folder.join("key") };
        std::fs::write(&files.certificate, made.cert.pem()).expect("there is room");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("there is room");
        let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        Self { certificate, key, files }
    }

    pub(crate) fn files(&self) -> TlsFiles {
        self.files.clone()
    }

    /// Connects as a client that trusts this certificate.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
    ) -> (TlsStream<TcpStream>, ChannelBinding) {
        self.connect_with(stream, &TLS13).await
    }

    /// The same with this version of TLS.
    pub(crate) async fn connect_with(
        &self,
        stream: TcpStream,
        version: &'static SupportedProtocolVersion,
    ) -> (TlsStream<TcpStream>, ChannelBinding) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("the provider has it")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("it is an address");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.expect("it is trusted");
        let (_, connection) = stream.get_ref();
        let binding = connection
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
            .expect("the handshake is complete");
        (stream, ChannelBinding(binding))
    }

    /// Ends TLS with this certificate.
    pub(crate) async fn accept(&self, stream: TcpStream) -> server::TlsStream<TcpStream> {
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("it is a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .expect("the key fits");
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.expect("the client trusts it")
    }
}
