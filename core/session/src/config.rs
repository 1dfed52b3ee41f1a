//! What a session is: its app, room, password and options, and the identity that follows from them.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use teatime_base::{RoomKeys, SecretKey, program};
use teatime_vm::App;
use teatime_wire::{Digest, Room, SessionId, limits};

use crate::limits::{MAX_AGENT, MAX_OPTIONS, MAX_PASSWORD, MAX_ROOM_NAME, MAX_VIEW_DATA};

/// Which session to join, and how.
#[derive(Clone)]
pub struct Config {
    /// The app with its models.
    pub app: App,
    /// Name of the room, 1 to 128 bytes of UTF-8.
    pub name: String,
    /// With a password everything is encrypted end to end. 1 to 1024 bytes of UTF-8.
    pub password: Option<String>,
    /// The root model's options as MessagePack. Part of the session's identity.
    pub options: Vec<u8>,
    /// Given to all models when this view joins and exits, as MessagePack.
    pub view_data: Option<Vec<u8>>,
    /// Ticks per second that the session's first client asks for, 1 to 60.
    pub ticks_per_second: u16,
    /// Certificates (PEM) that are trusted to vouch for a reflector, in addition to those that the platform
    /// trusts. Not part of the session's identity.
    pub trusted_certificates: Option<Vec<u8>>,
    /// Name and version of the program, for the reflector's log. At most 64 bytes.
    pub agent: String,
    /// The directory in which the driver writes a file of evidence if this client diverges. A program with the feature
    /// `recording` also writes a recording there of what led to the first handler that fails. Without a directory it
    /// writes nothing. The files are plain, even if the session has a password. Not part of the session's
    /// identity.
    pub evidence_dir: Option<PathBuf>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "(not shown)");
        f.debug_struct("Config")
            .field("app", &self.app)
            .field("name", &self.name)
            .field("password", &password)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A future message runs at most 50 ms late, and the price is 20 small frames a second.
const TICKS_PER_SECOND: u16 = 20;

impl Config {
    /// The session of `app` in the room `name`, without a password, with `options` for the root model.
    ///
    /// # Errors
    /// If the options cannot be encoded, or the root model does not accept them.
    pub fn new(app: App, name: &str, options: &impl Serialize) -> Result<Self, ConfigError> {
        let options =
            rmp_serde::to_vec(options).map_err(|error| ConfigError::Options(error.to_string()))?;
        Self::with_encoded_options(app, name, &options)
    }

    /// As [`new`](Self::new), with options that are MessagePack already.
    ///
    /// # Errors
    /// If the root model does not accept the options.
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

    /// The identity of the session. Clients that differ in app, name, password, options or model version are in different
    /// sessions. With a password this takes some 30 ms of processor time.
    pub fn session_id(&self) -> SessionId {
        self.session_in(&self.room_keys())
    }

    /// The session in the room with these keys.
    pub(crate) fn session_in(&self, keys: &RoomKeys) -> SessionId {
        SessionId::of(keys.id(), self.app.version(), self.program())
    }

    /// What the participants of the session run: the models and their options.
    pub(crate) fn program(&self) -> Digest {
        program(&self.app.version_hash(), &self.options)
    }

    /// The keys of the room. With a password this takes some 30 ms of processor time.
    pub(crate) fn room_keys(&self) -> RoomKeys {
        RoomKeys::new(self.app.id(), &self.name, self.password.as_deref())
    }

    /// What a reflector must know about the room.
    pub(crate) fn room(&self, keys: &RoomKeys) -> Room {
        Room::new(keys.name(), keys.password_key().map(SecretKey::public), self.app.version())
    }

    /// Checks that everything is within its limits.
    ///
    /// # Errors
    /// For the first value that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() || self.name.len() > MAX_ROOM_NAME {
            return Err(ConfigError::Name);
        }
        if self.password.as_ref().is_some_and(|pw| pw.is_empty() || pw.len() > MAX_PASSWORD) {
            return Err(ConfigError::Password);
        }
        if self.options.len() > MAX_OPTIONS {
            return Err(ConfigError::Options(format!("expected at most {MAX_OPTIONS} bytes")));
        }
        if self.view_data.as_ref().is_some_and(|data| data.len() > MAX_VIEW_DATA) {
            return Err(ConfigError::ViewData);
        }
        if !limits::TICKS_PER_SECOND.contains(&self.ticks_per_second) {
            return Err(ConfigError::Ticks);
        }
        if self.agent.len() > MAX_AGENT {
            return Err(ConfigError::Agent);
        }
        Ok(())
    }
}

/// Why a [`Config`] is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The room name is empty or too long.
    #[error("invalid room name: expected 1 to {MAX_ROOM_NAME} bytes")]
    Name,
    /// The password is empty or too long.
    #[error("invalid password: expected 1 to {MAX_PASSWORD} bytes")]
    Password,
    /// The options cannot be encoded, are too large, or the model does not accept them.
    #[error("invalid options: {0}")]
    Options(String),
    /// The view data is too large.
    #[error("invalid view data: expected at most {MAX_VIEW_DATA} bytes")]
    ViewData,
    /// The tick rate is out of range.
    #[error("invalid tick rate: expected 1 to 60 per second")]
    Ticks,
    /// The agent is too long.
    #[error("invalid agent: expected at most {} bytes", MAX_AGENT)]
    Agent,
}
