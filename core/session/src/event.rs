//! What goes in and out of the state machine, and what it tells its owner.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use teatime_vm::{Fault, MigrationError, StateHash, Time};
use teatime_wire::{ChannelBinding, CloseReason, Digest};

use crate::alarm::Alarm;

/// What the driver tells the client.
#[derive(Debug)]
pub enum Input {
    /// The connection that the client asked for stands. Over TLS, with the value `tls-exporter` (RFC 9266) of it.
    Connected(Option<ChannelBinding>),
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
    /// The session time of the reflector runs ahead of this client's clock.
    Clock(String),
    /// This client's state was wrong, or may have been. It loads the right one.
    Diverged,
    /// This client could not simulate as fast as events arrived. It loads a newer state.
    TooSlow,
    /// The session's snapshot cannot be used. The client reports that to the reflector and tries once more, because the
    /// reflector may go back to an older snapshot. If it does not, the session is over.
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
            Self::Clock(_) => "CLOCK",
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
            Self::BadSnapshot(_) | Self::Model(_) | Self::Migration(_) | Self::Clock(_) => false,
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
            Self::Clock(what) => write!(f, "the clock of the reflector is wrong: {what}"),
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

/// Another room of the same name [is in use](SessionEvent::OtherPassword). Displays as a sentence for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherPassword;

impl fmt::Display for OtherPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this room is new, but its name is also used with another password, or without one: if you expected \
             others here, check the password",
        )
    }
}

/// Sends whose [fate is unknown](SessionEvent::Unconfirmed). Displays as a sentence for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The number of sends.
    pub count: u64,
}

impl fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the connection was broken for too long: nothing says whether the last changes made before it broke ({}) \
             have arrived; check them, and make them again if they are missing",
            self.count
        )
    }
}

/// Why persisted data [was not stored](SessionEvent::NotPersisted). Displays as a sentence for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPersisted {
    /// The reflector cannot store it, for this reason. It tries again, unless what it has stored before is damaged.
    NotStored(String),
    /// The room is full: it has as much persisted data of other sessions as it may have. Theirs is not replaced.
    RoomFull,
}

impl fmt::Display for NotPersisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStored(why) => write!(
                f,
                "what is to outlive this version of the app cannot be stored for now: {why}"
            ),
            Self::RoomFull => f.write_str(
                "what is to outlive this version of the app cannot be stored: the room is full of what other versions \
                 have stored there; the operator of the reflector can remove some of it (teatime store records)",
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

/// Two programs compute [different things](SessionEvent::Disagreement). Displays as a sentence for users.
#[derive(Clone)]
pub struct Disagreement {
    /// Sequence number of the vote that found it.
    pub seq: u64,
    /// The different states at the vote, that of most participants first.
    pub sides: Vec<Side>,
    /// The content of a file of [`Evidence`](crate::forensics::evidence::Evidence), as in [`Divergence`]. `None` if this
    /// client did not vote.
    pub evidence: Option<Arc<[u8]>>,
    /// Where the driver has written that file, or why it could not. `None` if it was not asked to.
    pub file: Option<Result<PathBuf, String>>,
}

/// The participants that have one of several states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Their programs as these describe themselves: name, version, platform and fingerprint of the models, each once. Not
    /// to be trusted, and in visible ASCII only.
    pub builds: Vec<String>,
    /// How many they are.
    pub participants: u32,
    /// Whether this client is one of them.
    pub is_own: bool,
}

impl fmt::Debug for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, sides, file, .. } = self;
        write!(f, "Disagreement {{ seq: {seq}, sides: {sides:?}, file: {file:?} }}")
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two programs compute different things from the same events, so participants see different things: ")?;
        for (at, side) in self.sides.iter().enumerate() {
            let between = if at == 0 { "" } else { "; against " };
            let own = if side.is_own { ", this one included" } else { "" };
            write!(
                f,
                "{between}{} ({} participants{own})",
                side.builds.join(" / "),
                side.participants
            )?;
        }
        f.write_str("; let all use the same build of the app")?;
        match &self.file {
            Some(Ok(file)) => write!(f, "; see: teatime diff {}", file.display()),
            Some(Err(why)) => write!(f, "; {why}"),
            None => Ok(()),
        }
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
    /// Two programs compute different things from the same events: builds with different code are in one session, by
    /// mistake or because a participant lies. Every participant goes on with what its own program computes. It comes once,
    /// and again after all have agreed.
    Disagreement(Box<Disagreement>),
    /// The reflector has stored what the root model had persisted at a vote. A later version of the app begins with
    /// it.
    Persisted {
        /// Sequence number of the vote.
        seq: u64,
    },
    /// The reflector has not stored what the root model had persisted at a vote. A later version of the app would
    /// begin with what was stored before. It comes once, and again after something else was stored.
    NotPersisted(NotPersisted),
    /// The fate of the oldest sends of this client is unknown: the reflector has forgotten this view, and what it accepted
    /// from it is part of a snapshot. The client does not send them again, so no event is ordered twice.
    Unconfirmed(Unconfirmed),
    /// The order of events is not what participants have seen or sealed: the reflector, or a participant, does not say the
    /// truth. It comes once for each kind and participant, and the session goes on. In a session without a password only
    /// [`AlarmKind::Expelled`](crate::AlarmKind::Expelled), [`AlarmKind::Rewound`](crate::AlarmKind::Rewound) and
    /// [`AlarmKind::Clock`](crate::AlarmKind::Clock) can be found out.
    Alarm(Alarm),
    /// Other participants show something else of themselves: see [`Client::presences`](crate::Client::presences). It comes
    /// once until it is polled, however much has changed.
    PresencesChanged,
    /// A newer version of the app is used in this room, or was. It has a session of its own, which began with what
    /// this version, or one before, had persisted by then.
    NewerVersion(NewerVersion),
    /// Nothing has happened in this room before, and another room of the same name is in use: with another password, or
    /// without one. The user may have mistyped the password. It comes once at most.
    OtherPassword(OtherPassword),
}

impl SessionEvent {
    /// What the event means for the user of an app, as a sentence to show. `None` for events that only a program needs.
    pub fn notice(&self) -> Option<String> {
        match self {
            Self::Connection(_, reason) => reason.as_ref().map(ToString::to_string),
            Self::Fault(fault) => Some(fault.to_string()),
            Self::Diverged(_) => {
                Some("this client's state was wrong, and was replaced by the right one".to_owned())
            }
            Self::Disagreement(disagreement) => Some(disagreement.to_string()),
            Self::NotPersisted(why) => Some(why.to_string()),
            Self::Unconfirmed(sends) => Some(sends.to_string()),
            Self::NewerVersion(versions) => Some(versions.to_string()),
            Self::Alarm(alarm) => Some(alarm.to_string()),
            Self::OtherPassword(hint) => Some(hint.to_string()),
            Self::ViewReady
            | Self::ViewLost
            | Self::Synced(_)
            | Self::State { .. }
            | Self::Verdict { .. }
            | Self::FaultRecorded(_)
            | Self::Held(_)
            | Self::PresencesChanged
            | Self::Persisted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_get_a_sentence_for_what_they_can_notice_and_nothing_for_the_rest() {
        let lost =
            SessionEvent::Connection(ConnectionState::Reconnecting, Some(DisconnectReason::Lost));
        assert_eq!(lost.notice().as_deref(), Some("the connection to the reflector broke"));
        let unconfirmed = SessionEvent::Unconfirmed(Unconfirmed { count: 2 });
        assert!(unconfirmed.notice().is_some_and(|text| text.contains("(2)")));
        assert_eq!(SessionEvent::Connection(ConnectionState::Live, None).notice(), None);
        assert_eq!(SessionEvent::ViewReady.notice(), None);
    }
}
