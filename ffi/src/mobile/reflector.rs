//! A reflector on this machine.

use std::sync::{Arc, PoisonError, RwLock};

use super::Result;

/// A reflector that this process hosts or has found.
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
    /// Hosts a reflector that listens at an address such as `127.0.0.1:9090`. Port 0 picks a free port.
    #[uniffi::constructor]
    pub fn start(listen: &str) -> Result<Arc<Self>> {
        Ok(Self::new(crate::reflector::Reflector::start(listen)?))
    }

    /// Finds the reflector of this machine. If none runs, this process hosts one that only this machine
    /// can reach.
    #[uniffi::constructor]
    pub fn local() -> Result<Arc<Self>> {
        Ok(Self::new(crate::reflector::Reflector::local()?))
    }

    /// The address at which clients join sessions.
    pub fn url(&self) -> Result<String> {
        Ok(self.url.clone())
    }

    /// Stops the reflector if this process hosts it. Asks its clients to come back later. Takes up to two
    /// seconds.
    pub fn stop(&self) -> Result<()> {
        let host = self.host.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(host);
        Ok(())
    }
}
