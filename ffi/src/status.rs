//! How calls end: the table of status codes, and the message of the last failure.

use std::cell::RefCell;

use strum::{IntoStaticStr, VariantArray};
use teatime::blobs::BlobError;
use teatime::persisted::{MigrationError, PersistError};
use teatime::{
    AccessError, AppError, CallError, CloseReason, ConfigError, DisconnectReason, JoinError,
    LinkError, PublishError, QueryError,
};

use crate::boundary::{boundary, value_boundary};
use crate::out::Check;
use crate::text::tea_str;

/// How a call ended, or why a connection did. A number is never reused. The hundreds group statuses by what was
/// wrong.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum tea_status {
    /// The call succeeded.
    Ok = 0,

    /// A pointer that must not be NULL is NULL.
    NullPointer = 100,
    /// A text is not valid UTF-8.
    InvalidUtf8 = 101,
    /// A handle was freed already, belongs to another type, or is not a handle.
    WrongHandle = 102,
    /// A callback used the session that had called it.
    Reentrant = 103,
    /// The caller's buffer is too small. The message says how large it must be.
    BufferTooSmall = 104,
    /// An argument is out of range.
    InvalidArgument = 105,
    /// A tea_cx was used after its callback had returned, by another thread, or inside a nested callback.
    NotInModel = 106,
    /// This platform or build does not support the call.
    Unsupported = 107,

    /// The bytes are not in the expected format.
    BadFormat = 200,
    /// The value has another type.
    WrongType = 201,
    /// The element does not exist.
    NotFound = 202,
    /// The value has fewer elements than its array or map announced.
    ValueIncomplete = 203,
    /// The value is complete: nothing can be added.
    ValueComplete = 204,
    /// This format cannot express the value.
    Encoding = 205,

    /// The name of the room is empty or longer than 128 bytes.
    BadName = 300,
    /// The password is empty or too long.
    BadPassword = 301,
    /// The options cannot be encoded, are too large, or the root model refused them.
    BadOptions = 302,
    /// The view data is too large.
    BadViewData = 303,
    /// The ticks per second are out of range.
    BadTicks = 304,
    /// The name of the program is too long.
    BadAgent = 305,
    /// The text is not a valid join link.
    BadLink = 306,
    /// The text is not a valid address of a reflector.
    BadAddress = 307,
    /// The declaration of the app is not valid: its id, a name, or the root model.
    BadApp = 308,
    /// The link is longer than a QR code can hold.
    TooLong = 309,
    /// The text has no valid certificate in PEM, or this build has no TLS.
    BadCertificates = 310,

    /// The event is larger than the limit for events.
    TooLarge = 400,
    /// Too many events wait to be sent or polled. Publish less, or later.
    TooFast = 401,
    /// The session has not joined yet.
    NotJoined = 402,
    /// The session was left, or has failed.
    Over = 403,

    /// The reflector cannot be reached. The session tries again.
    Unreachable = 500,
    /// The connection broke. The session tries again.
    Lost = 501,
    /// Nothing arrived for too long. The session tries again.
    Silent = 502,
    /// The reflector broke the protocol. The session tries again.
    Protocol = 503,
    /// This client's state was not what the log leads to. It loads the right state.
    Diverged = 504,
    /// This client is too slow. It loads a newer state.
    TooSlow = 505,
    /// The reflector shuts down. The session tries again.
    GoingAway = 506,
    /// The reflector has no room for another client. The session tries again.
    Full = 507,
    /// This client left.
    Left = 508,
    /// The reflector's certificate is not trusted; the message says why. The session tries again, because another
    /// server may have answered in its place.
    BadCertificate = 509,
    /// The reflector cannot store the session, for example because its disk is full. The session tries again, and
    /// then sends every event that has not come back. For a transfer: the reflector cannot store or read blobs.
    NotStored = 510,
    /// The session's snapshot is not valid.
    BadSnapshot = 521,
    /// The root model's init failed.
    Model = 522,
    /// The reflector speaks another version of the protocol.
    Version = 523,
    /// The reflector could not read a message of this client.
    Malformed = 524,
    /// The reflector got a message that the protocol does not allow at that point.
    OutOfOrder = 525,
    /// Another connection has taken over this view.
    Replaced = 526,
    /// Data that another version of the app persisted cannot be migrated. It stays as it is. The message says from
    /// which version to which, and why.
    Migration = 527,
    /// This client could not prove who it is on this connection. The message says what to do, for example because a
    /// machine in between ends the TLS of a reflector that has a certificate of its own.
    BadProof = 528,
    /// The session time of the reflector runs ahead of this client's clock by more than is possible.
    Clock = 529,

    /// The model does not exist, or no longer.
    UnknownModel = 600,
    /// The model has no such query.
    UnknownQuery = 601,
    /// The query does not take this argument.
    QueryArgument = 602,
    /// The query failed.
    QueryFailed = 603,
    /// The model has no such handler.
    UnknownHandler = 604,
    /// The app does not have this model, or the model's init failed.
    CreateFailed = 605,
    /// Another model has this name already.
    NameTaken = 606,
    /// A handler of that model is running, or its init: the handler that asks, or one that led to it. Publish an event
    /// to it instead.
    ModelRunning = 607,
    /// The called handler failed or does not take the argument, or calls are nested too deep. The message says which.
    CallFailed = 608,

    /// The sync test or the simulation found a difference. The message names model and field.
    SyncDiffers = 700,
    /// A handler failed in a sync test, or on every participant of a session alike.
    Fault = 701,
    /// A simulation failed for another reason than a difference or a failed handler. The message says which.
    CheckFailed = 702,
    /// Only the root model may persist data.
    NotRoot = 703,
    /// The app has not declared that it persists this type.
    NotDeclared = 704,
    /// The data is larger than the limit for persisted data.
    PersistedTooLarge = 705,

    /// The text is not a valid blob handle.
    BadBlobHandle = 800,
    /// The blob is larger than the reflector accepts. Nothing was sent. The message has both sizes.
    BlobTooLarge = 801,
    /// The reflector has no room for the blob: the room's share, or all its space for blobs, is used up.
    NoRoom = 802,
    /// The reflector's disk is full.
    ServerDiskFull = 803,
    /// The reflector does not have the blob. It was never stored, or it was deleted because no model has held its
    /// handle for long.
    UnknownBlob = 804,
    /// The handle belongs to another app, room or password.
    OtherSession = 805,
    /// The reflector sent wrong bytes. None of them was passed on.
    WrongBytes = 806,
    /// The reflector lost a part of the blob during the upload. Store it again.
    Forgotten = 807,
    /// The file changed its size during the transfer.
    WrongSize = 808,
    /// The reflector ended the transfer and will refuse it again. The message says why.
    Closed = 809,
    /// The transfer was cancelled.
    Cancelled = 810,
    /// The reflector has too many transfers. Try again later.
    Busy = 811,

    /// A bug in the library: it panicked. Free the object. The process can go on.
    Panic = 900,
    /// The operating system refused a file, a thread or a socket. The message says which.
    Io = 901,
}

impl tea_status {
    /// The name of the status, the same in every language, such as `BAD_SNAPSHOT`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A call that failed: its status and its message.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: tea_status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: tea_status, message: impl ToString) -> Self {
        Self { status, message: message.to_string() }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Each error of the core has one status. The matches have no wildcard: a new error does not compile
/// until it has a status in every language.
trait Coded: std::fmt::Display {
    fn status(&self) -> tea_status;
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.status(), error)
    }
}

impl Coded for PublishError {
    fn status(&self) -> tea_status {
        match self {
            Self::TooLarge { .. } => tea_status::TooLarge,
            Self::TooFast => tea_status::TooFast,
            Self::NotJoined => tea_status::NotJoined,
            Self::Over => tea_status::Over,
            Self::Encoding(_) => tea_status::Encoding,
        }
    }
}

impl Coded for QueryError {
    fn status(&self) -> tea_status {
        match self {
            Self::UnknownModel(_) => tea_status::UnknownModel,
            Self::Running(_) => tea_status::ModelRunning,
            Self::UnknownQuery(_) => tea_status::UnknownQuery,
            Self::Argument(_) => tea_status::QueryArgument,
            Self::Panicked(_) | Self::Failed(_) => tea_status::QueryFailed,
        }
    }
}

impl Coded for AccessError {
    fn status(&self) -> tea_status {
        match self {
            Self::Unknown(_) | Self::OtherType(_) => tea_status::UnknownModel,
            Self::Running(_) => tea_status::ModelRunning,
        }
    }
}

impl Coded for CallError {
    fn status(&self) -> tea_status {
        match self {
            Self::Access(error) => error.status(),
            Self::UnknownHandler(_) => tea_status::UnknownHandler,
            Self::Argument(_) | Self::TooDeep(_) | Self::Failed(_) => tea_status::CallFailed,
        }
    }
}

impl Coded for ConfigError {
    fn status(&self) -> tea_status {
        match self {
            Self::Name => tea_status::BadName,
            Self::Password => tea_status::BadPassword,
            Self::Options(_) => tea_status::BadOptions,
            Self::ViewData => tea_status::BadViewData,
            Self::Ticks => tea_status::BadTicks,
            Self::Agent => tea_status::BadAgent,
        }
    }
}

impl Coded for LinkError {
    fn status(&self) -> tea_status {
        match self {
            Self::Address(_) => tea_status::BadAddress,
            Self::Options(_) => tea_status::BadOptions,
            Self::Config(error) => error.status(),
            Self::Scheme(_) | Self::Unchecked { .. } | Self::Damaged { .. } | Self::App { .. } => {
                tea_status::BadLink
            }
        }
    }
}

impl Coded for JoinError {
    fn status(&self) -> tea_status {
        match self {
            Self::Config(error) => error.status(),
            Self::Address(error) => error.status(),
            Self::Certificates(_) => tea_status::BadCertificates,
            Self::Io(_) => tea_status::Io,
        }
    }
}

impl Coded for BlobError {
    fn status(&self) -> tea_status {
        match self {
            Self::TooLarge { .. } => tea_status::BlobTooLarge,
            Self::NoRoom => tea_status::NoRoom,
            Self::ServerDiskFull => tea_status::ServerDiskFull,
            Self::ServerFailed => tea_status::NotStored,
            Self::Unknown => tea_status::UnknownBlob,
            Self::OtherSession => tea_status::OtherSession,
            Self::WrongBytes => tea_status::WrongBytes,
            Self::Forgotten => tea_status::Forgotten,
            Self::WrongSize(_) => tea_status::WrongSize,
            Self::Local(_) => tea_status::Io,
            Self::Protocol(_) => tea_status::Protocol,
            Self::Busy(_) => tea_status::Busy,
            Self::Unreachable(_) => tea_status::Unreachable,
            Self::BadCertificate(_) => tea_status::BadCertificate,
            Self::Closed(_) => tea_status::Closed,
            Self::Cancelled => tea_status::Cancelled,
        }
    }
}

impl Coded for PersistError {
    fn status(&self) -> tea_status {
        match self {
            Self::NotRoot => tea_status::NotRoot,
            Self::NotDeclared => tea_status::NotDeclared,
            Self::TooLarge { .. } => tea_status::PersistedTooLarge,
            Self::Encoding(_) => tea_status::Encoding,
        }
    }
}

impl Coded for MigrationError {
    fn status(&self) -> tea_status {
        tea_status::Migration
    }
}

impl Coded for AppError {
    fn status(&self) -> tea_status {
        tea_status::BadApp
    }
}

/// The status of a broken connection.
pub(crate) fn of_disconnect(reason: &DisconnectReason) -> tea_status {
    match reason {
        DisconnectReason::Unreachable(_) => tea_status::Unreachable,
        DisconnectReason::BadCertificate(_) => tea_status::BadCertificate,
        DisconnectReason::Lost => tea_status::Lost,
        DisconnectReason::Silent => tea_status::Silent,
        DisconnectReason::Closed(reason, _) => of_close(*reason),
        DisconnectReason::Protocol(_) => tea_status::Protocol,
        DisconnectReason::Clock(_) => tea_status::Clock,
        DisconnectReason::Diverged => tea_status::Diverged,
        DisconnectReason::TooSlow => tea_status::TooSlow,
        DisconnectReason::BadSnapshot(_) => tea_status::BadSnapshot,
        DisconnectReason::Model(_) => tea_status::Model,
        DisconnectReason::Migration(_) => tea_status::Migration,
    }
}

/// The status of a connection that the reflector closed.
fn of_close(reason: CloseReason) -> tea_status {
    match reason {
        CloseReason::Left => tea_status::Left,
        CloseReason::GoingAway => tea_status::GoingAway,
        CloseReason::TooSlow => tea_status::TooSlow,
        CloseReason::Silent => tea_status::Silent,
        CloseReason::Full => tea_status::Full,
        CloseReason::NotStored => tea_status::NotStored,
        CloseReason::Malformed => tea_status::Malformed,
        CloseReason::TooLarge => tea_status::TooLarge,
        CloseReason::Version => tea_status::Version,
        CloseReason::NotJoined => tea_status::NotJoined,
        CloseReason::OutOfOrder => tea_status::OutOfOrder,
        CloseReason::TooFast => tea_status::TooFast,
        CloseReason::Replaced => tea_status::Replaced,
        CloseReason::BadProof => tea_status::BadProof,
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Stores the message of a failure for `tea_last_error`.
pub(crate) fn remember(message: String) {
    // At the end of a thread its storage may be gone. Then no caller can ask for the message.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
}

/// The message of the last call that failed on this thread, for people. It is one line, except for the findings of a
/// simulation or a sync test. Empty before the first failure. Valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn tea_last_error() -> tea_str {
    value_boundary(tea_str::EMPTY, || LAST.with(|last| tea_str::from(last.borrow().as_str())))
}

/// The name of a status, the same in every language, such as BAD_SNAPSHOT: for logs and for other programs. Valid
/// until the program ends.
///
/// Fails with TEA_STATUS_INVALID_ARGUMENT if `status` is not a tea_status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_status_name(status: i32, name: *mut tea_str) -> tea_status {
    boundary(|| {
        let name = name.check("name")?;
        let found = tea_status::VARIANTS.iter().find(|one| **one as i32 == status);
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::InvalidArgument, format!("{status} is not a tea_status"))
        })?;
        name.set(found.name().into());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_names_that_the_core_gives_its_errors() {
        let publish = [
            PublishError::TooLarge { size: 1, most: 0 },
            PublishError::TooFast,
            PublishError::NotJoined,
            PublishError::Over,
            PublishError::Encoding(String::new()),
        ];
        for error in publish {
            assert_eq!(error.status().name(), error.code());
        }
        let closed = CloseReason::ALL
            .into_iter()
            .map(|reason| DisconnectReason::Closed(reason, String::new()));
        let others = [
            DisconnectReason::Unreachable(String::new()),
            DisconnectReason::BadCertificate(String::new()),
            DisconnectReason::Lost,
            DisconnectReason::Silent,
            DisconnectReason::Protocol(String::new()),
            DisconnectReason::Clock(String::new()),
            DisconnectReason::Diverged,
            DisconnectReason::TooSlow,
            DisconnectReason::BadSnapshot(String::new()),
            DisconnectReason::Model(String::new()),
        ];
        for reason in closed.chain(others) {
            assert_eq!(of_disconnect(&reason).name(), reason.code());
        }
        let transfers = [
            BlobError::TooLarge { size: 1, most: 0 },
            BlobError::NoRoom,
            BlobError::ServerDiskFull,
            BlobError::ServerFailed,
            BlobError::Unknown,
            BlobError::OtherSession,
            BlobError::WrongBytes,
            BlobError::Forgotten,
            BlobError::WrongSize(1),
            BlobError::Local(String::new()),
            BlobError::Protocol(String::new()),
            BlobError::Unreachable(String::new()),
            BlobError::BadCertificate(String::new()),
            BlobError::Closed(String::new()),
            BlobError::Cancelled,
            BlobError::Busy(String::new()),
        ];
        for error in transfers {
            assert_eq!(error.status().name(), error.code());
        }
    }

    #[test]
    fn names_and_numbers_are_unique_and_in_bands() {
        let mut numbers: Vec<_> = tea_status::VARIANTS.iter().map(|one| *one as i32).collect();
        let in_order = numbers.clone();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, in_order);
        assert!(numbers.iter().all(|number| *number == 0 || (100..1000).contains(number)));
    }
}
