//! A reflector in the same process.

use std::sync::{Arc, PoisonError, RwLock};

use teatime::server::{Server, ServerConfig};

use super::Result;
use crate::status::{Failure, tea_status};

/// A reflector hosted by this process.
#[derive(uniffi::Object)]
pub struct Reflector {
    url: String,
    server: RwLock<Option<Server>>,
}

#[uniffi::export]
impl Reflector {
    /// Hosts a reflector that listens at an address such as `127.0.0.1:9090`; port 0 picks a free
    /// one.
    #[uniffi::constructor]
    pub fn start(listen: &str) -> Result<Arc<Self>> {
        let server = Server::bind(listen, ServerConfig::default())
            .map_err(|error| Failure::new(tea_status::Io, format!("{listen}: {error}")))?;
        Ok(Arc::new(Self { url: server.url(), server: RwLock::new(Some(server)) }))
    }

    /// The address by which sessions are joined.
    pub fn url(&self) -> Result<String> {
        Ok(self.url.clone())
    }

    /// Ends it: its clients are told to come back later. Takes up to two seconds.
    pub fn stop(&self) -> Result<()> {
        let server = self.server.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(server);
        Ok(())
    }
}
