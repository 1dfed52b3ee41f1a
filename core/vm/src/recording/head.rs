//! The session and the program that a recording is of.

use serde::{Deserialize, Serialize};

use super::RecordingError;
use crate::app::App;
use crate::id::SessionId;

/// The session and the program that a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Id of the app.
    pub app: String,
    /// Declared version of the app.
    pub app_version: u32,
    /// Version hash of the models; see [`App::version_hash`].
    #[serde(with = "serde_bytes")]
    pub version: [u8; 32],
    /// Id of the session.
    pub session: SessionId,
    /// The root model's options as MessagePack.
    #[serde(with = "serde_bytes")]
    pub options: Vec<u8>,
    /// For each type of models: its id, and the names of its fields.
    pub schema: Vec<(String, Vec<String>)>,
    /// Version of this library.
    pub library: String,
    /// Processor and operating system, such as `aarch64-linux`.
    pub target: String,
    /// Whether the library was built with optimization.
    pub optimized: bool,
}

/// Whether this library was built with optimization.
const IS_OPTIMIZED: bool = !cfg!(debug_assertions);

impl Head {
    /// The head for a session of this app. `options` are those of the root model, as MessagePack.
    pub fn new(app: &App, session: SessionId, options: &[u8]) -> Self {
        Self {
            app: app.id().to_owned(),
            app_version: app.version(),
            version: app.version_hash(),
            session,
            options: options.to_vec(),
            schema: app.schema(),
            library: env!("CARGO_PKG_VERSION").to_owned(),
            target: [std::env::consts::ARCH, "-", std::env::consts::OS].concat(),
            optimized: IS_OPTIMIZED,
        }
    }

    /// Checks that the recording is of exactly this version of this app.
    ///
    /// # Errors
    /// [`RecordingError::App`], [`RecordingError::Version`].
    pub fn check(&self, app: &App) -> Result<(), RecordingError> {
        if self.app != app.id() {
            let (found, known) = (self.app.clone(), app.id().to_owned());
            return Err(RecordingError::App { found, known });
        }
        if self.version != app.version_hash() {
            let (found, known) = (self.app_version, app.version());
            return Err(RecordingError::Version { app: self.app.clone(), found, known });
        }
        Ok(())
    }
}
