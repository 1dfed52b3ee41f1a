//! The identity of a client, and the session that it is in. Both are fixed when it is made.

use teatime_base::{Digest, RoomKeys, SecretKey, SessionId, ViewId};
use teatime_blobs::Space;
use teatime_vm::recording::Head;
use teatime_wire::{Challenge, ClientMessage, Join, PROTOCOL_VERSION, Resume};

use crate::config::Config;

pub(super) struct Identity {
    config: Config,
    session_id: SessionId,
    view_key: SecretKey,
    password_key: Option<SecretKey>,
    view_id: ViewId,
    room_name: Digest,
    space: Space,
    agent: String,
}

impl Identity {
    pub(super) fn new(config: Config, keys: &RoomKeys, view_key: SecretKey) -> Self {
        let session_id = config.session_in(keys);
        Self {
            agent: agent_of(&config, session_id),
            session_id,
            room_name: keys.name(),
            space: Space::of(keys),
            view_id: view_key.public().view_id(),
            view_key,
            password_key: keys.password_key().cloned(),
            config,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn session_id(&self) -> SessionId {
        self.session_id
    }

    pub(super) fn view_id(&self) -> ViewId {
        self.view_id
    }

    /// The message that joins over the connection with this challenge.
    pub(super) fn join<'a>(
        &'a self,
        challenge: &Challenge,
        view_data: Option<&'a [u8]>,
        (attempt, resume): (u64, Option<Resume>),
    ) -> ClientMessage<'a> {
        let join = Join {
            protocol: PROTOCOL_VERSION,
            program: self.config.program(),
            name: self.room_name,
            version: self.config.app.version(),
            view_key: self.view_key.public(),
            password_key: self.password_key.as_ref().map(SecretKey::public),
            view_data,
            ticks_per_second: self.config.ticks_per_second,
            attempt,
            resume,
            agent: &self.agent,
        };
        join.prove(challenge, &self.view_key, self.password_key.as_ref())
    }

    /// The blobs of the room.
    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    /// What this program says of itself to the reflector, and to others if their programs disagree with this one.
    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// What recordings and evidence begin with.
    pub(super) fn head(&self) -> Head {
        Head::new(&self.config.app, self.session_id, &self.config.options)
    }
}

/// Name and version of a program, and what it was built from.
fn agent_of(config: &Config, session: SessionId) -> String {
    let Head { library, target, optimized, .. } = Head::new(&config.app, session, &[]);
    let built = if optimized { "" } else { " (debug)" };
    let models = config.app.fingerprint();
    let models = models.map(|models| format!(", models {models}")).unwrap_or_default();
    format!("{}, teatime {library} on {target}{built}{models}", config.agent)
}
