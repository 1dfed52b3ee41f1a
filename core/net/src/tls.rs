//! TLS: whom a client trusts, and the certificate of a server.
//!
//! Two modules have the same items: `rustls` in a build with the feature `tls`, `absent` in one without. All
//! other code uses these items, and does not ask which build it is.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod with_rustls;

#[cfg(not(feature = "tls"))]
use absent as chosen;
#[cfg(feature = "tls")]
use with_rustls as chosen;

pub use chosen::Trust;
pub(crate) use chosen::{Identity, Layer, binding_of, connect, is_about_certificate, take_apart};

/// PEM certificates or a key that cannot be used.
#[derive(Debug, Clone)]
pub struct CertificateError {
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl CertificateError {
    /// An error with a message of its own.
    fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), source: None }
    }

    /// An error in `place`, such as a file.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    fn caused(place: impl fmt::Display, source: impl Error + Send + Sync + 'static) -> Self {
        let message = format!("{place}{source}");
        Self { message, source: Some(Arc::new(source)) }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
