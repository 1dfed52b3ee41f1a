//! A reflector on this machine.

use std::sync::{Arc, PoisonError, RwLock};

use super::Result;

/// A reflector that this process hosts, or has found.
#[derive(uniffi::Object)]
pub struct Reflector {
    url: String,
    host: RwLock<Option<crate::reflector::Reflector>>,
}

impl Reflector {
    fn new(host: crate::reflector::Reflector) -> Arc<Self> {
        Arc::new(Self { url: host.url().to_owned(), host: RwLock::new(Some(host)) })
    }
}

#[uniffi::export]
impl Reflector {
    /// Hosts a reflector that listens at an address such as `127.0.0.1:9090`; port 0 picks a free
    /// one.
    #[uniffi::constructor]
    pub fn start(listen: &str) -> Result<Arc<Self>> {
        Ok(Self::new(crate::reflector::Reflector::start(listen)?))
    }

    /// Finds the reflector of this machine; if there is none this process hosts it, reachable from
    /// this machine only.
    #[uniffi::constructor]
    pub fn local() -> Result<Arc<Self>> {
        Ok(Self::new(crate::reflector::Reflector::local()?))
    }

    /// The address by which sessions are joined.
    pub fn url(&self) -> Result<String> {
        Ok(self.url.clone())
    }

    /// Ends it, if this process hosts it: its clients are told to come back later. Takes up to two
    /// seconds.
    pub fn stop(&self) -> Result<()> {
        let host = self.host.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(host);
        Ok(())
    }
}
