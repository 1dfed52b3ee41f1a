//! TLS: whom a client trusts, and by what a server is known.

use std::fmt;

/// Certificates, in PEM, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCertificates(pub String);

impl fmt::Display for BadCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificates {}

#[cfg(feature = "tls")]
pub use with_tls::Trust;
#[cfg(feature = "tls")]
pub(crate) use with_tls::{Identity, connect};
#[cfg(not(feature = "tls"))]
pub(crate) use without_tls::Identity;
#[cfg(not(feature = "tls"))]
pub use without_tls::Trust;

#[cfg(feature = "tls")]
mod with_tls {
    use std::fs;
    use std::path::Path;
    use std::sync::{Arc, OnceLock, PoisonError, RwLock};

    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ServerConfig};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::BadCertificates;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    fn bad(why: impl std::fmt::Display) -> BadCertificates {
        BadCertificates(why.to_string())
    }

    /// Whom a client trusts to vouch for a reflector.
    #[derive(Clone)]
    pub struct Trust {
        certificates: Vec<CertificateDer<'static>>,
        /// Made once: reading the platform's certificates takes some 10 ms.
        config: Arc<OnceLock<Arc<ClientConfig>>>,
    }

    impl Trust {
        /// Whoever the platform trusts, and besides whoever these certificates (PEM) belong to:
        /// that of a company, or of a reflector that signed its own.
        pub fn new(pem: Option<&[u8]>) -> Result<Self, BadCertificates> {
            let certificates: Result<Vec<_>, _> =
                pem.into_iter().flat_map(CertificateDer::pem_slice_iter).collect();
            let certificates = certificates.map_err(bad)?;
            if pem.is_some() && certificates.is_empty() {
                return Err(bad("there is no certificate in it (PEM is expected)"));
            }
            let trust = Self { certificates, config: Arc::default() };
            if pem.is_some() {
                trust.config().map_err(bad)?;
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
                // Not dangerous: it is a usual verifier.
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

        /// Android's own verifier is reached through Java only; so these are the roots of Mozilla's
        /// list, without those that the owner of the phone may have added.
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

    /// Proves to itself that the other side of a connection is this host.
    pub(crate) async fn connect(
        trust: &Trust,
        host: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let config = trust.config().map_err(std::io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }

    /// By what a server is known: it may be replaced while the server runs.
    #[derive(Clone)]
    pub(crate) struct Identity(Arc<RwLock<Arc<ServerConfig>>>);

    impl Identity {
        pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, BadCertificates> {
            Ok(Self(Arc::new(RwLock::new(read(certificate, key)?))))
        }

        /// Reads the files anew. If they cannot be used, the old identity stays.
        pub(crate) fn reload(&self, certificate: &Path, key: &Path) -> Result<(), BadCertificates> {
            let config = read(certificate, key)?;
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
            Ok(())
        }

        pub(crate) fn config(&self) -> Arc<ServerConfig> {
            self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, BadCertificates> {
        let file = |path: &Path| {
            fs::read(path).map_err(|error| bad(format_args!("{}: {error}", path.display())))
        };
        let in_file = |path: &Path, error: &dyn std::fmt::Display| {
            bad(format_args!("{}: {error}", path.display()))
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&file(certificate)?).collect();
        let chain = chain.map_err(|error| in_file(certificate, &error))?;
        if chain.is_empty() {
            return Err(in_file(certificate, &"there is no certificate in it (PEM is expected)"));
        }
        let secret =
            PrivateKeyDer::from_pem_slice(&file(key)?).map_err(|error| in_file(key, &error))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(bad)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| {
                in_file(key, &format_args!("it does not fit the certificate: {error}"))
            })?;
        Ok(Arc::new(config))
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use std::path::Path;

    use super::BadCertificates;

    /// Whom a client trusts: nobody, this build has no TLS.
    #[derive(Clone)]
    pub struct Trust;

    impl Trust {
        /// Trust in nobody; certificates are refused.
        pub fn new(pem: Option<&[u8]>) -> Result<Self, BadCertificates> {
            match pem {
                None => Ok(Self),
                Some(_) => Err(BadCertificates("this build has no TLS".into())),
            }
        }
    }

    /// There is none.
    #[derive(Clone)]
    pub(crate) enum Identity {}

    impl Identity {
        pub(crate) fn load(_: &Path, _: &Path) -> Result<Self, BadCertificates> {
            Err(BadCertificates("this build has no TLS".into()))
        }

        pub(crate) fn reload(&self, _: &Path, _: &Path) -> Result<(), BadCertificates> {
            match *self {}
        }
    }
}
