//! How calls end: the one table of codes, and the message of the last failure.

use std::cell::RefCell;

use strum::{IntoStaticStr, VariantArray};
use teatime::blobs::BlobError;
use teatime::persisted::{MigrationError, PersistError};
use teatime::{
    AppError, ConfigError, DisconnectReason, JoinError, LinkError, PublishError, QueryError,
};

use crate::boundary::{boundary, value_boundary};
use crate::out::Check;
use crate::text::tea_str;

/// How a call ended, or why a connection did. Numbers are never reused: hundreds group them by what
/// was wrong.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum tea_status {
    /// It went well.
    Ok = 0,

    /// A pointer is NULL that must not be.
    NullPointer = 100,
    /// A text is no UTF-8.
    InvalidUtf8 = 101,
    /// A handle was freed, or belongs to another type, or was never given out.
    WrongHandle = 102,
    /// A session was used by a callback that it called itself.
    Reentrant = 103,
    /// The caller's buffer is too small; the message says how large it must be.
    BufferTooSmall = 104,
    /// An argument is out of its range.
    InvalidArgument = 105,
    /// A context was used after its callback had returned, by another thread, or from within a
    /// callback that it had led to.
    NotInModel = 106,
    /// This platform or build does not have it.
    Unsupported = 107,

    /// The bytes are not the format that they should be.
    BadFormat = 200,
    /// The value has another type.
    WrongType = 201,
    /// There is no such element.
    NotFound = 202,
    /// The value lacks elements that an array or a map has announced.
    ValueIncomplete = 203,
    /// The value has everything already.
    ValueComplete = 204,
    /// The value cannot be expressed in this format.
    Encoding = 205,

    /// The name of the room is empty or too long.
    BadName = 300,
    /// The password is empty or too long.
    BadPassword = 301,
    /// The model does not take these options.
    BadOptions = 302,
    /// The view data is too large.
    BadViewData = 303,
    /// The ticks per second are out of range.
    BadTicks = 304,
    /// The name of the program is too long.
    BadAgent = 305,
    /// The text is no join link.
    BadLink = 306,
    /// The text is no address of a reflector.
    BadAddress = 307,
    /// The app is not declared properly: ids, names or the root model.
    BadApp = 308,
    /// The link is longer than a QR code can hold.
    TooLong = 309,
    /// The text is no certificates in PEM, or this build has no TLS.
    BadCertificates = 310,

    /// The event is larger than an event may be.
    TooLarge = 400,
    /// Too much is waiting, to be sent or to be pulled: publish less, or later.
    TooFast = 401,
    /// The session has not been joined yet.
    NotJoined = 402,
    /// The session was left, or has failed.
    Over = 403,

    /// No reflector can be reached; it is tried again.
    Unreachable = 500,
    /// The connection broke; it is tried again.
    Lost = 501,
    /// Nothing was heard for too long; it is tried again.
    Silent = 502,
    /// The other side broke the protocol; it is tried again.
    Protocol = 503,
    /// This client's state was not the majority's; it loads theirs.
    Diverged = 504,
    /// This client is too slow; it starts anew from a newer state.
    TooSlow = 505,
    /// The reflector is going down; it is tried again.
    GoingAway = 506,
    /// The reflector has no room for another client; it is tried again.
    Full = 507,
    /// This client left.
    Left = 508,
    /// The reflector's certificate is not to be trusted; the message says why. It is tried again:
    /// somebody else may have answered.
    BadCertificate = 509,
    /// The reflector cannot store the session, its disk is full perhaps; it is tried again, and what
    /// was published and has not come back yet is sent again then. Or it cannot store or read blobs.
    NotStored = 510,
    /// The password is not the one that the session was started with.
    WrongPassword = 520,
    /// The session's snapshot cannot be used.
    BadSnapshot = 521,
    /// The root model could not be made.
    Model = 522,
    /// The reflector speaks another version of the protocol.
    Version = 523,
    /// The reflector took a frame of this client for no message.
    Malformed = 524,
    /// The reflector got a message that may not come at that point.
    OutOfOrder = 525,
    /// The same view has connected again from elsewhere.
    Replaced = 526,
    /// What another version of the app has persisted cannot be migrated; it stays as it is. The message
    /// says from which version to which, and why.
    Migration = 527,

    /// There is no such model (any more).
    UnknownModel = 600,
    /// The model has no such query.
    UnknownQuery = 601,
    /// The argument is not what the query takes.
    QueryArgument = 602,
    /// The query failed.
    QueryFailed = 603,
    /// The model has no such handler.
    UnknownHandler = 604,
    /// The app has no such model, or its init failed.
    CreateFailed = 605,
    /// Another model has this name.
    NameTaken = 606,

    /// The sync test found a difference; the message names model and field.
    SyncDiffers = 700,
    /// A handler failed in a sync test, or on every participant of a session alike.
    Fault = 701,
    /// A simulation found something else wrong than that participants differ or a handler fails; the message
    /// says what.
    CheckFailed = 702,
    /// Only the root model may persist data.
    NotRoot = 703,
    /// This is not what the app has declared that it persists.
    NotDeclared = 704,
    /// The data is larger than what may be persisted.
    PersistedTooLarge = 705,

    /// The text is no handle of a blob.
    BadBlobHandle = 800,
    /// The blob is larger than the reflector takes; nothing of it was sent. The message has both
    /// sizes.
    BlobTooLarge = 801,
    /// The reflector has no room for the blob: what the room may have is used up, or all that it has.
    NoRoom = 802,
    /// The disk of the reflector is full.
    ServerDiskFull = 803,
    /// The reflector has no such blob: it was never there, or no model has had its handle for long.
    UnknownBlob = 804,
    /// The handle is one of another app or room, or of another password.
    OtherSession = 805,
    /// The reflector handed out wrong bytes. None of them was passed on.
    WrongBytes = 806,
    /// The reflector lost a part of the blob while it was on its way: store it again.
    Forgotten = 807,
    /// The file changed its size while it was read.
    WrongSize = 808,
    /// The reflector ended the transfer for good; the message says why.
    Closed = 809,
    /// The transfer was cancelled.
    Cancelled = 810,
    /// The reflector has too many transfers at once: try again later.
    Busy = 811,

    /// A bug of the library: it panicked. The object is as good as lost, the process is not.
    Panic = 900,
    /// The operating system refused what is needed.
    Io = 901,
}

impl tea_status {
    /// The name that programs switch on, the same in every language, such as `WRONG_PASSWORD`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The status with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::VARIANTS.iter().copied().find(|status| status.name() == name)
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

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(tea_status::of_name(error.code()).unwrap_or(tea_status::Encoding), error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let status = match error {
            QueryError::UnknownModel(_) => tea_status::UnknownModel,
            QueryError::UnknownQuery(_) => tea_status::UnknownQuery,
            QueryError::Argument(_) => tea_status::QueryArgument,
            _ => tea_status::QueryFailed,
        };
        Self::new(status, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let status = match error {
            ConfigError::Name => tea_status::BadName,
            ConfigError::Password => tea_status::BadPassword,
            ConfigError::Options(_) => tea_status::BadOptions,
            ConfigError::ViewData => tea_status::BadViewData,
            ConfigError::Ticks => tea_status::BadTicks,
            ConfigError::Agent => tea_status::BadAgent,
            _ => tea_status::InvalidArgument,
        };
        Self::new(status, error)
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        let status = match error {
            LinkError::Address(_) => tea_status::BadAddress,
            _ => tea_status::BadLink,
        };
        Self::new(status, error)
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Config(error) => error.into(),
            JoinError::Address(error) => error.into(),
            JoinError::Certificates(error) => Self::new(tea_status::BadCertificates, error),
            error => Self::new(tea_status::Io, error),
        }
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::new(tea_status::of_name(error.code()).unwrap_or(tea_status::Protocol), error)
    }
}

impl From<PersistError> for Failure {
    fn from(error: PersistError) -> Self {
        let status = match error {
            PersistError::NotRoot => tea_status::NotRoot,
            PersistError::NotDeclared => tea_status::NotDeclared,
            PersistError::TooLarge { .. } => tea_status::PersistedTooLarge,
            _ => tea_status::Encoding,
        };
        Self::new(status, error)
    }
}

impl From<MigrationError> for Failure {
    fn from(error: MigrationError) -> Self {
        Self::new(tea_status::Migration, error)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self::new(tea_status::BadApp, error)
    }
}

/// The status of a broken connection.
pub(crate) fn of_disconnect(reason: &DisconnectReason) -> tea_status {
    tea_status::of_name(reason.code()).unwrap_or(tea_status::Protocol)
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the message of a failure for `tea_last_error`.
pub(crate) fn remember(message: String) {
    // At the end of a thread its storage may be gone; then nobody can ask any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
}

/// What the last call that failed on this thread has to say, for people, as one line but for what a simulation or a
/// sync test finds; empty before the first failure. Valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn tea_last_error() -> tea_str {
    value_boundary(tea_str::EMPTY, || LAST.with(|last| tea_str::from(last.borrow().as_str())))
}

/// The name of a status, the same in every language, such as WRONG_PASSWORD: for logs, and where
/// programs talk to programs. Valid for ever.
///
/// Fails with TEA_STATUS_INVALID_ARGUMENT if there is no such status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tea_status_name(status: i32, name: *mut tea_str) -> tea_status {
    boundary(|| {
        let name = name.check("name")?;
        let found = tea_status::VARIANTS.iter().find(|one| **one as i32 == status);
        let found = found.ok_or_else(|| {
            Failure::new(tea_status::InvalidArgument, format!("there is no status {status}"))
        })?;
        name.set(found.name().into());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_core_has_a_number() {
        let publish = [
            PublishError::TooLarge { size: 1, most: 0 },
            PublishError::TooFast,
            PublishError::NotJoined,
            PublishError::Over,
            PublishError::Encoding(String::new()),
        ];
        for error in publish {
            assert!(tea_status::of_name(error.code()).is_some(), "{}", error.code());
        }
        let closed = teatime::CloseReason::ALL
            .into_iter()
            .map(|reason| DisconnectReason::Closed(reason, String::new()));
        let others = [
            DisconnectReason::Unreachable(String::new()),
            DisconnectReason::BadCertificate(String::new()),
            DisconnectReason::Lost,
            DisconnectReason::Silent,
            DisconnectReason::Protocol(String::new()),
            DisconnectReason::Diverged,
            DisconnectReason::TooSlow,
            DisconnectReason::BadSnapshot(String::new()),
            DisconnectReason::Model(String::new()),
        ];
        for reason in closed.chain(others) {
            assert!(tea_status::of_name(reason.code()).is_some(), "{}", reason.code());
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
            assert!(tea_status::of_name(error.code()).is_some(), "{}", error.code());
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
