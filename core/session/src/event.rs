//! What goes in and out of the state machine, and what it tells its owner.

use std::fmt;
#[cfg(feature = "recording")]
use std::path::PathBuf;

use teatime_vm::{Fault, MigrationError, StateHash, Time};
use teatime_wire::{CloseReason, Digest};

use crate::healing::Divergence;

/// What the driver tells the client.
#[derive(Debug)]
pub enum Input {
    /// The connection asked for stands.
    Connected,
    /// One WebSocket message arrived.
    Frame(Vec<u8>),
    /// No connection could be made.
    Unreachable(String),
    /// The other side could not prove who it is.
    BadCertificate(String),
    /// The connection ended, with the close code and its reason if there was one.
    Disconnected(Option<(u16, String)>),
}

/// What the driver must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection after this pause in µs.
    Connect {
        /// The pause in µs.
        after: u64,
    },
    /// Send one WebSocket binary message.
    Send(Vec<u8>),
    /// Close the connection, or stop trying to open one. Nothing of it is to be reported.
    Close,
}

/// How the client stands with its reflector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// It tries to reach the reflector for the first time.
    Connecting,
    /// It has been let in and loads the session.
    CatchingUp,
    /// The model runs, and a view can be built from it.
    Live,
    /// The connection broke; the model stands still until it is back.
    Reconnecting,
    /// It has left.
    Left,
    /// It has given up: trying again would end the same way.
    Failed,
}

impl ConnectionState {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisconnectReason {
    /// No connection could be made.
    Unreachable(String),
    /// The reflector's certificate is not to be trusted: it may be another that answers there.
    BadCertificate(String),
    /// The connection broke.
    Lost,
    /// Nothing was heard for too long.
    Silent,
    /// The reflector closed it, and said why.
    Closed(CloseReason, String),
    /// What came was not the protocol.
    Protocol(String),
    /// This client's state was not the right one, or may not have been; it loads that.
    Diverged,
    /// It could not simulate as fast as events arrived; it loads a newer state.
    TooSlow,
    /// The session's snapshot cannot be used.
    BadSnapshot(String),
    /// The root model could not be made.
    Model(String),
    /// The session would begin with what another version of the app has persisted, and that cannot be used. It stays as
    /// it is.
    Migration(MigrationError),
}

impl DisconnectReason {
    /// The name that programs switch on, the same in every language.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "UNREACHABLE",
            Self::BadCertificate(_) => "BAD_CERTIFICATE",
            Self::Lost => "LOST",
            Self::Silent => "SILENT",
            Self::Closed(reason, _) => reason.name(),
            Self::Protocol(_) => "PROTOCOL",
            Self::Diverged => "DIVERGED",
            Self::TooSlow => "TOO_SLOW",
            Self::BadSnapshot(_) => "BAD_SNAPSHOT",
            Self::Model(_) => "MODEL",
            Self::Migration(_) => "MIGRATION",
        }
    }

    /// Whether the client tries again by itself.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Closed(reason, _) => reason.is_retryable(),
            Self::BadSnapshot(_) | Self::Model(_) | Self::Migration(_) => false,
            _ => true,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no reflector can be reached: {why}"),
            Self::BadCertificate(why) => {
                write!(f, "the reflector's certificate is not to be trusted: {why}")
            }
            Self::Lost => f.write_str("the connection to the reflector broke"),
            Self::Silent => f.write_str("the reflector has gone silent"),
            Self::Closed(reason, detail) if detail.is_empty() => reason.fmt(f),
            Self::Closed(reason, detail) => write!(f, "{reason}: {detail}"),
            Self::Protocol(what) => write!(f, "the reflector broke the protocol: {what}"),
            Self::Diverged => f.write_str("this client diverged and loads the right state"),
            Self::TooSlow => f.write_str("this client fell too far behind and starts anew"),
            Self::BadSnapshot(why) => write!(f, "the session's snapshot cannot be used: {why}"),
            Self::Model(why) => write!(f, "the model could not be made: {why}"),
            Self::Migration(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DisconnectReason {}

/// What to tell people if a [newer version](SessionEvent::NewerVersion) of their app is used in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewerVersion {
    /// The declared version of the newer one.
    pub newer: u32,
    /// The declared version of this one.
    pub own: u32,
}

impl fmt::Display for NewerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { newer, own } = self;
        write!(
            f,
            "a newer version of this app ({newer}) is used in this room: what you do here stays in the session of \
             version {own}; update to meet the others"
        )
    }
}

/// Why what was persisted is [not kept](SessionEvent::NotPersisted), to be told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPersisted {
    /// The reflector cannot store it, for this reason. It tries again, unless what it has stored before is damaged.
    NotStored(String),
    /// Newer versions of the app have persisted in this room, and what they have is not replaced.
    Newer,
}

impl fmt::Display for NotPersisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStored(why) => write!(
                f,
                "what is to outlive this version of the app cannot be stored for now: {why}"
            ),
            Self::Newer => f.write_str(
                "newer versions of this app have stored their data in this room: what is done here stays in \
                 the session of this version",
            ),
        }
    }
}

/// What the client tells its owner.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// The connection changed its state; with a reason if it got worse.
    Connection(ConnectionState, Option<DisconnectReason>),
    /// Build the view from the model as it stands now, before the next step.
    ViewReady,
    /// The model is gone: detach the view. A new one can be built at the next
    /// [`ViewReady`](Self::ViewReady).
    ViewLost,
    /// The model caught up with the reflector, or fell behind.
    Synced(bool),
    /// The hash of this client's state at the position of a vote.
    State {
        /// Sequence number of the vote.
        seq: u64,
        /// Session time of the vote.
        time: Time,
        /// Hash of the whole state.
        hash: StateHash,
    },
    /// How a vote ended.
    Verdict {
        /// Sequence number of the vote.
        seq: u64,
        /// The majority's hash; with a password a foreign one is known only as the hash of the sealed
        /// state.
        hash: Option<Digest>,
        /// How many agreed on it.
        agreed: u32,
        /// How many were asked.
        of: u32,
    },
    /// A handler failed, on every participant alike; if it panicked its turn was undone.
    Fault(Fault),
    /// Where the driver has put a recording of what led to the first handler that failed, or why it could
    /// not; it comes after that [`Fault`](Self::Fault), if the driver was asked to keep evidence.
    #[cfg(feature = "recording")]
    FaultKept(Result<PathBuf, String>),
    /// The reflector asks senders to pause (true), or lets them go on.
    Held(bool),
    /// This client's state was not the right one, and has been replaced. It comes when the right one is
    /// known, after the [`Connection`](Self::Connection) that tells
    /// [`DisconnectReason::Diverged`].
    Diverged(Box<Divergence>),
    /// What the root model had persisted at a vote is kept: a later version of the app begins with it.
    Persisted {
        /// Sequence number of the vote.
        seq: u64,
    },
    /// What the root model had persisted at a vote is not kept: a later version of the app would begin with what was
    /// kept before. It is told once, and again after something else was kept.
    NotPersisted(NotPersisted),
    /// A newer version of the app is used in this room, or has been. It has a session of its own, which began
    /// with what this version or one before had persisted by then.
    NewerVersion(NewerVersion),
}
