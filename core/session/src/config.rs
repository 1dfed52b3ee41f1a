//! What a session is: its app, room, password and options, and the identity that follows.

use std::path::PathBuf;

use serde::Serialize;
use teatime_base::RoomKeys;
use teatime_vm::App;
use teatime_wire::{Room, SessionId, limits};

use crate::limits::{MAX_OPTIONS, MAX_PASSWORD, MAX_ROOM_NAME};

/// Which session to join, and how.
#[derive(Clone)]
pub struct Config {
    /// The app with its models.
    pub app: App,
    /// Name of the room, 1 to 128 bytes of UTF-8.
    pub name: String,
    /// With a password everything is encrypted end to end.
    pub password: Option<String>,
    /// The root model's options as MessagePack; part of the session's identity.
    pub options: Vec<u8>,
    /// Given to all models when this view joins and exits, as MessagePack.
    pub view_data: Option<Vec<u8>>,
    /// Ticks per second that the session's first client asks for, 1 to 60.
    pub ticks_per_second: u16,
    /// Certificates (PEM) that are trusted to vouch for a reflector, besides those that the platform
    /// trusts. No part of the session's identity.
    pub trusted_certificates: Option<Vec<u8>>,
    /// Name and version of the program, for the reflector's log; at most 64 bytes.
    pub agent: String,
    /// Where the driver puts a file of evidence if this client diverges, and, if it was built with the
    /// feature `recording`, a recording of what led to the first handler that fails; nowhere if not said. What is
    /// in it is plain, also if the session has a password. No part of the session's identity.
    pub evidence_dir: Option<PathBuf>,
}

/// Twenty ticks per second: a future message runs at most 50 ms late, at 20 small frames a second.
const TICKS_PER_SECOND: u16 = 20;

impl Config {
    /// The session of `app` named `name`, without password, with `options` for the root model.
    pub fn new(app: App, name: &str, options: &impl Serialize) -> Result<Self, ConfigError> {
        let options =
            rmp_serde::to_vec(options).map_err(|error| ConfigError::Options(error.to_string()))?;
        Self::with_encoded_options(app, name, &options)
    }

    /// The same with options that are MessagePack already.
    pub fn with_encoded_options(app: App, name: &str, options: &[u8]) -> Result<Self, ConfigError> {
        let options = app.canonical_options(options).map_err(ConfigError::Options)?;
        Ok(Self {
            app,
            name: name.to_owned(),
            password: None,
            options,
            view_data: None,
            ticks_per_second: TICKS_PER_SECOND,
            trusted_certificates: None,
            agent: concat!("teatime-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            evidence_dir: None,
        })
    }

    /// The same session with a password.
    #[must_use]
    pub fn password(mut self, password: Option<&str>) -> Self {
        self.password = password.map(str::to_owned);
        self
    }

    /// The identity of the session: whoever differs in app, name, options or model version is in
    /// another one. The password is no part of it, so that a wrong one can be told.
    pub fn session_id(&self) -> SessionId {
        let version = self.app.version_hash();
        let identity = (
            self.app.id(),
            self.name.as_str(),
            serde_bytes::Bytes::new(&version),
            serde_bytes::Bytes::new(&self.options),
        );
        let encoded = rmp_serde::to_vec(&identity)
            .expect("strings and bytes can be expressed in MessagePack");
        SessionId(blake3::derive_key("teatime v1 session id", &encoded))
    }

    /// The keys of the room. With a password this takes some 30 ms of CPU.
    pub(crate) fn room_keys(&self) -> RoomKeys {
        RoomKeys::new(self.app.id(), &self.name, self.password.as_deref())
    }

    /// What a reflector must know of the room.
    pub(crate) fn room(&self, keys: &RoomKeys) -> Room {
        Room { name: keys.name(), id: keys.id(), version: self.app.version() }
    }

    /// Whether everything is within its limits.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() || self.name.len() > MAX_ROOM_NAME {
            return Err(ConfigError::Name);
        }
        if self.password.as_ref().is_some_and(|pw| pw.is_empty() || pw.len() > MAX_PASSWORD) {
            return Err(ConfigError::Password);
        }
        if self.options.len() > MAX_OPTIONS {
            return Err(ConfigError::Options(format!("larger than {MAX_OPTIONS} bytes")));
        }
        // Sealing adds 40 bytes.
        if self.view_data.as_ref().is_some_and(|data| data.len() + 40 > limits::MAX_VIEW_DATA) {
            return Err(ConfigError::ViewData);
        }
        if !limits::TICKS_PER_SECOND.contains(&self.ticks_per_second) {
            return Err(ConfigError::Ticks);
        }
        if self.agent.len() > limits::MAX_AGENT {
            return Err(ConfigError::Agent);
        }
        Ok(())
    }
}

/// What is wrong with a [`Config`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The room name is empty or too long.
    #[error("the room name must have 1 to {MAX_ROOM_NAME} bytes")]
    Name,
    /// The password is empty or too long.
    #[error("the password must have 1 to {MAX_PASSWORD} bytes")]
    Password,
    /// The options cannot be encoded, are too large, or are refused by the model.
    #[error("the options: {0}")]
    Options(String),
    /// The view data is too large.
    #[error("the view data must have less than {} bytes", limits::MAX_VIEW_DATA - 40)]
    ViewData,
    /// The tick rate is out of range.
    #[error("the ticks per second must be 1 to 60")]
    Ticks,
    /// The agent is too long.
    #[error("the agent must have at most {} bytes", limits::MAX_AGENT)]
    Agent,
}
