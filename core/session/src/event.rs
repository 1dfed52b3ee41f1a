//! What goes in and out of the state machine, and what it tells its owner.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use teatime_vm::{Fault, MigrationError, StateHash, Time};
use teatime_wire::{CloseReason, Digest};

/// What the driver tells the client.
#[derive(Debug)]
pub enum Input {
    /// The connection that the client asked for stands.
    Connected,
    /// One WebSocket message arrived.
    Frame(Vec<u8>),
    /// No connection could be made, for this reason.
    Unreachable(String),
    /// The server's certificate is not trusted, for this reason.
    BadCertificate(String),
    /// The connection ended, with the close code and its text if there was one.
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
    /// Close the connection, or stop trying to open one. The driver must report nothing of it any longer.
    Close,
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// Everything that has arrived was simulated.
    Done,
    /// There is more to simulate. The time budget was used up, or the owner must poll what waits first.
    Budget,
    /// The owner must poll an immediate delivery or a [`SessionEvent::ViewReady`] before the simulation goes on.
    Attention,
}

/// Round trips to the reflector and back, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundTrips {
    /// How many the numbers are of: the newest hundred at most.
    pub count: u32,
    /// The newest.
    pub last_us: u64,
    /// The median.
    pub p50_us: u64,
    /// 99 of 100 were not longer than this.
    pub p99_us: u64,
}

/// The state of the connection between a client and its reflector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// It tries to reach the reflector for the first time.
    Connecting,
    /// The reflector has let it in, and it loads the session.
    CatchingUp,
    /// The model runs, and a view can be built from it.
    Live,
    /// The connection broke. The model stands still until there is another.
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
    /// The server's certificate is not trusted: another server may answer in its place.
    BadCertificate(String),
    /// The connection broke.
    Lost,
    /// Nothing arrived for too long.
    Silent,
    /// The reflector closed the connection, for this reason.
    Closed(CloseReason, String),
    /// What arrived does not follow the protocol.
    Protocol(String),
    /// This client's state was wrong, or may have been. It loads the right one.
    Diverged,
    /// This client could not simulate as fast as events arrived. It loads a newer state.
    TooSlow,
    /// The session's snapshot cannot be used.
    BadSnapshot(String),
    /// The root model could not be made.
    Model(String),
    /// The session would begin with what another version of the app has persisted, and this version cannot use that.
    /// The persisted data stays as it is.
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
            Self::Unreachable(why) => write!(f, "the reflector cannot be reached: {why}"),
            Self::BadCertificate(why) => {
                write!(f, "the reflector's certificate is not trusted: {why}")
            }
            Self::Lost => f.write_str("the connection to the reflector broke"),
            Self::Silent => f.write_str("the reflector has gone silent"),
            Self::Closed(reason, detail) if detail.is_empty() => reason.fmt(f),
            Self::Closed(reason, detail) => write!(f, "{reason}: {detail}"),
            Self::Protocol(what) => write!(f, "the reflector broke the protocol: {what}"),
            Self::Diverged => f.write_str("this client diverged and loads the right state"),
            Self::TooSlow => {
                f.write_str("this client fell too far behind and loads the session again")
            }
            Self::BadSnapshot(why) => write!(f, "the session's snapshot cannot be used: {why}"),
            Self::Model(why) => write!(f, "the model could not be made: {why}"),
            Self::Migration(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DisconnectReason {}

/// A [newer version](SessionEvent::NewerVersion) of the app is used in the room. Displays as a sentence for users.
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

/// Why persisted data [was not stored](SessionEvent::NotPersisted). Displays as a sentence for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPersisted {
    /// The reflector cannot store it, for this reason. It tries again, unless what it has stored before is damaged.
    NotStored(String),
    /// Newer versions of the app have persisted data in this room. Theirs is not replaced.
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

/// This client's state was wrong. It has been replaced.
#[derive(Clone)]
pub struct Divergence {
    /// Sequence number of the vote that found it.
    pub seq: u64,
    /// Session time of the vote.
    pub time: Time,
    /// Hash of this client's state at the vote.
    pub hash: StateHash,
    /// Hash of the right state at the vote, if it is known.
    pub right: Option<StateHash>,
    /// The content of a file of [`Evidence`](crate::forensics::evidence::Evidence). It is plain, even if the session
    /// has a password.
    pub evidence: Arc<[u8]>,
    /// Where the driver has written that file, or why it could not. `None` if it was not asked to.
    pub file: Option<Result<PathBuf, String>>,
}

impl fmt::Debug for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Divergence {{ seq: {}, hash: {}, file: {:?} }}", self.seq, self.hash, self.file)
    }
}

/// What the client tells its owner.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// The connection changed its state, or failed once more. With a reason if it got worse.
    Connection(ConnectionState, Option<DisconnectReason>),
    /// Build the view from the model as it stands now, before the next step.
    ViewReady,
    /// The model is gone: detach the view. A new one can be built at the next [`ViewReady`](Self::ViewReady).
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
        /// The majority's hash. If it differs from this client's, it is the hash of the snapshot as it would be
        /// handed in, not of the plain state.
        hash: Option<Digest>,
        /// How many participants agreed on it. Without a majority, the most that agreed on any.
        agreed: u32,
        /// How many participants count: all that the model knows, but for those that did not answer the newest
        /// votes.
        of: u32,
    },
    /// A handler failed, on every participant alike. If it panicked, its turn was undone.
    Fault(Fault),
    /// Where the driver has written a recording of what led to the first handler that failed, or why it could not.
    /// It follows that [`Fault`](Self::Fault), if the driver was asked for such a file.
    FaultRecorded(Result<PathBuf, String>),
    /// The reflector asks senders to pause (true), or to go on.
    Held(bool),
    /// This client's state was wrong, and has been replaced. It comes when the right state is known, after the
    /// [`Connection`](Self::Connection) with [`DisconnectReason::Diverged`].
    Diverged(Box<Divergence>),
    /// The reflector has stored what the root model had persisted at a vote. A later version of the app begins with
    /// it.
    Persisted {
        /// Sequence number of the vote.
        seq: u64,
    },
    /// The reflector has not stored what the root model had persisted at a vote. A later version of the app would
    /// begin with what was stored before. It comes once, and again after something else was stored.
    NotPersisted(NotPersisted),
    /// A newer version of the app is used in this room, or was. It has a session of its own, which began with what
    /// this version, or one before, had persisted by then.
    NewerVersion(NewerVersion),
}
