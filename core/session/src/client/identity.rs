//! The identity of a client, and the session that it is in. Both are fixed when it is made.

use teatime_base::{RoomKeys, SessionId, ViewId, ViewSecret};
use teatime_blobs::Space;
use teatime_vm::recording::Head;
use teatime_wire::Room;

use crate::config::Config;

pub(super) struct Identity {
    config: Config,
    session_id: SessionId,
    secret: ViewSecret,
    view_id: ViewId,
    room: Room,
    space: Space,
}

impl Identity {
    pub(super) fn new(config: Config, keys: &RoomKeys, secret: ViewSecret) -> Self {
        Self {
            session_id: config.session_id(),
            room: config.room(keys),
            space: Space::of(keys),
            view_id: secret.view_id(),
            secret,
            config,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn session_id(&self) -> SessionId {
        self.session_id
    }

    pub(super) fn secret(&self) -> ViewSecret {
        self.secret
    }

    pub(super) fn view_id(&self) -> ViewId {
        self.view_id
    }

    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// The blobs of the room.
    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    /// What recordings and evidence begin with.
    pub(super) fn head(&self) -> Head {
        Head::new(&self.config.app, self.session_id, &self.config.options)
    }
}
