internal import TeatimeFFI

extension TeatimeError {
  /// What was wrong. Numbers and names are the same in every language, and are never reused; hundreds
  /// group them.
  public enum Code: Int32, Sendable, CaseIterable {
    /// It went well.
    case ok = 0

    /// A pointer is NULL that must not be.
    case nullPointer = 100
    /// A text is no UTF-8.
    case invalidUtf8 = 101
    /// A handle was freed, or belongs to another type, or was never given out.
    case wrongHandle = 102
    /// A session was used by a callback that it called itself.
    case reentrant = 103
    /// The caller's buffer is too small; the message says how large it must be.
    case bufferTooSmall = 104
    /// An argument is out of its range.
    case invalidArgument = 105
    /// A context was used after its callback had returned, by another thread, or from within a
    /// callback that it had led to.
    case notInModel = 106
    /// This platform or build does not have it.
    case unsupported = 107

    /// The bytes are not the format that they should be.
    case badFormat = 200
    /// The value has another type.
    case wrongType = 201
    /// There is no such element.
    case notFound = 202
    /// The value lacks elements that an array or a map has announced.
    case valueIncomplete = 203
    /// The value has everything already.
    case valueComplete = 204
    /// The value cannot be expressed in this format.
    case encoding = 205

    /// The name of the room is empty or too long.
    case badName = 300
    /// The password is empty or too long.
    case badPassword = 301
    /// The model does not take these options.
    case badOptions = 302
    /// The view data is too large.
    case badViewData = 303
    /// The ticks per second are out of range.
    case badTicks = 304
    /// The name of the program is too long.
    case badAgent = 305
    /// The text is no join link.
    case badLink = 306
    /// The text is no address of a reflector.
    case badAddress = 307
    /// The app is not declared properly: ids, names or the root model.
    case badApp = 308
    /// The link is longer than a QR code can hold.
    case tooLong = 309
    /// The text is no certificates in PEM, or this build has no TLS.
    case badCertificates = 310

    /// The event is larger than an event may be.
    case tooLarge = 400
    /// Too much is waiting, to be sent or to be pulled: publish less, or later.
    case tooFast = 401
    /// The session has not been joined yet.
    case notJoined = 402
    /// The session was left, or has failed.
    case over = 403

    /// No reflector can be reached; it is tried again.
    case unreachable = 500
    /// The connection broke; it is tried again.
    case lost = 501
    /// Nothing was heard for too long; it is tried again.
    case silent = 502
    /// The other side broke the protocol; it is tried again.
    case `protocol` = 503
    /// This client's state was not the majority's; it loads theirs.
    case diverged = 504
    /// This client is too slow; it starts anew from a newer state.
    case tooSlow = 505
    /// The reflector is going down; it is tried again.
    case goingAway = 506
    /// The reflector has no room for another client; it is tried again.
    case full = 507
    /// This client left.
    case left = 508
    /// The reflector's certificate is not to be trusted; the message says why. It is tried again:
    /// somebody else may have answered.
    case badCertificate = 509
    /// The reflector cannot store the session, its disk is full perhaps; it is tried again, and what
    /// was published and has not come back yet is sent again then. Or it cannot store or read blobs.
    case notStored = 510
    /// The password is not the one that the session was started with.
    case wrongPassword = 520
    /// The session's snapshot cannot be used.
    case badSnapshot = 521
    /// The root model could not be made.
    case model = 522
    /// The reflector speaks another version of the protocol.
    case version = 523
    /// The reflector took a frame of this client for no message.
    case malformed = 524
    /// The reflector got a message that may not come at that point.
    case outOfOrder = 525
    /// The same view has connected again from elsewhere.
    case replaced = 526
    /// What another version of the app has persisted cannot be migrated; it stays as it is. The message
    /// says from which version to which, and why.
    case migration = 527

    /// There is no such model (any more).
    case unknownModel = 600
    /// The model has no such query.
    case unknownQuery = 601
    /// The argument is not what the query takes.
    case queryArgument = 602
    /// The query failed.
    case queryFailed = 603
    /// The model has no such handler.
    case unknownHandler = 604
    /// The app has no such model, or its init failed.
    case createFailed = 605
    /// Another model has this name.
    case nameTaken = 606

    /// The sync test found a difference; the message names model and field.
    case syncDiffers = 700
    /// A handler failed in a sync test, or on every participant of a session alike.
    case fault = 701
    /// A simulation found something else wrong than that participants differ or a handler fails; the message
    /// says what.
    case checkFailed = 702
    /// Only the root model may persist data.
    case notRoot = 703
    /// This is not what the app has declared that it persists.
    case notDeclared = 704
    /// The data is larger than what may be persisted.
    case persistedTooLarge = 705

    /// The text is no handle of a blob.
    case badBlobHandle = 800
    /// The blob is larger than the reflector takes; nothing of it was sent. The message has both
    /// sizes.
    case blobTooLarge = 801
    /// The reflector has no room for the blob: what the room may have is used up, or all that it has.
    case noRoom = 802
    /// The disk of the reflector is full.
    case serverDiskFull = 803
    /// The reflector has no such blob: it was never there, or no model has had its handle for long.
    case unknownBlob = 804
    /// The handle is one of another app or room, or of another password.
    case otherSession = 805
    /// The reflector handed out wrong bytes. None of them was passed on.
    case wrongBytes = 806
    /// The reflector lost a part of the blob while it was on its way: store it again.
    case forgotten = 807
    /// The file changed its size while it was read.
    case wrongSize = 808
    /// The reflector ended the transfer for good; the message says why.
    case closed = 809
    /// The transfer was cancelled.
    case cancelled = 810
    /// The reflector has too many transfers at once: try again later.
    case busy = 811

    /// A bug of the library: it panicked. The object is as good as lost, the process is not.
    case panic = 900
    /// The operating system refused what is needed.
    case io = 901
  }
}

extension TeatimeError.Code {
  /// The number.
  public var number: Int { Int(rawValue) }

  /// The name in logs and JSON, such as `WRONG_PASSWORD`.
  public var name: String {
    switch self {
    case .ok: "OK"
    case .nullPointer: "NULL_POINTER"
    case .invalidUtf8: "INVALID_UTF8"
    case .wrongHandle: "WRONG_HANDLE"
    case .reentrant: "REENTRANT"
    case .bufferTooSmall: "BUFFER_TOO_SMALL"
    case .invalidArgument: "INVALID_ARGUMENT"
    case .notInModel: "NOT_IN_MODEL"
    case .unsupported: "UNSUPPORTED"
    case .badFormat: "BAD_FORMAT"
    case .wrongType: "WRONG_TYPE"
    case .notFound: "NOT_FOUND"
    case .valueIncomplete: "VALUE_INCOMPLETE"
    case .valueComplete: "VALUE_COMPLETE"
    case .encoding: "ENCODING"
    case .badName: "BAD_NAME"
    case .badPassword: "BAD_PASSWORD"
    case .badOptions: "BAD_OPTIONS"
    case .badViewData: "BAD_VIEW_DATA"
    case .badTicks: "BAD_TICKS"
    case .badAgent: "BAD_AGENT"
    case .badLink: "BAD_LINK"
    case .badAddress: "BAD_ADDRESS"
    case .badApp: "BAD_APP"
    case .tooLong: "TOO_LONG"
    case .badCertificates: "BAD_CERTIFICATES"
    case .tooLarge: "TOO_LARGE"
    case .tooFast: "TOO_FAST"
    case .notJoined: "NOT_JOINED"
    case .over: "OVER"
    case .unreachable: "UNREACHABLE"
    case .lost: "LOST"
    case .silent: "SILENT"
    case .protocol: "PROTOCOL"
    case .diverged: "DIVERGED"
    case .tooSlow: "TOO_SLOW"
    case .goingAway: "GOING_AWAY"
    case .full: "FULL"
    case .left: "LEFT"
    case .badCertificate: "BAD_CERTIFICATE"
    case .notStored: "NOT_STORED"
    case .wrongPassword: "WRONG_PASSWORD"
    case .badSnapshot: "BAD_SNAPSHOT"
    case .model: "MODEL"
    case .version: "VERSION"
    case .malformed: "MALFORMED"
    case .outOfOrder: "OUT_OF_ORDER"
    case .replaced: "REPLACED"
    case .migration: "MIGRATION"
    case .unknownModel: "UNKNOWN_MODEL"
    case .unknownQuery: "UNKNOWN_QUERY"
    case .queryArgument: "QUERY_ARGUMENT"
    case .queryFailed: "QUERY_FAILED"
    case .unknownHandler: "UNKNOWN_HANDLER"
    case .createFailed: "CREATE_FAILED"
    case .nameTaken: "NAME_TAKEN"
    case .syncDiffers: "SYNC_DIFFERS"
    case .fault: "FAULT"
    case .checkFailed: "CHECK_FAILED"
    case .notRoot: "NOT_ROOT"
    case .notDeclared: "NOT_DECLARED"
    case .persistedTooLarge: "PERSISTED_TOO_LARGE"
    case .badBlobHandle: "BAD_BLOB_HANDLE"
    case .blobTooLarge: "BLOB_TOO_LARGE"
    case .noRoom: "NO_ROOM"
    case .serverDiskFull: "SERVER_DISK_FULL"
    case .unknownBlob: "UNKNOWN_BLOB"
    case .otherSession: "OTHER_SESSION"
    case .wrongBytes: "WRONG_BYTES"
    case .forgotten: "FORGOTTEN"
    case .wrongSize: "WRONG_SIZE"
    case .closed: "CLOSED"
    case .cancelled: "CANCELLED"
    case .busy: "BUSY"
    case .panic: "PANIC"
    case .io: "IO"
    }
  }

  /// A code that the library has and this table lacks does not compile.
  init(_ status: TeaStatus) {
    switch status {
    case .ok: self = .ok
    case .nullPointer: self = .nullPointer
    case .invalidUtf8: self = .invalidUtf8
    case .wrongHandle: self = .wrongHandle
    case .reentrant: self = .reentrant
    case .bufferTooSmall: self = .bufferTooSmall
    case .invalidArgument: self = .invalidArgument
    case .notInModel: self = .notInModel
    case .unsupported: self = .unsupported
    case .badFormat: self = .badFormat
    case .wrongType: self = .wrongType
    case .notFound: self = .notFound
    case .valueIncomplete: self = .valueIncomplete
    case .valueComplete: self = .valueComplete
    case .encoding: self = .encoding
    case .badName: self = .badName
    case .badPassword: self = .badPassword
    case .badOptions: self = .badOptions
    case .badViewData: self = .badViewData
    case .badTicks: self = .badTicks
    case .badAgent: self = .badAgent
    case .badLink: self = .badLink
    case .badAddress: self = .badAddress
    case .badApp: self = .badApp
    case .tooLong: self = .tooLong
    case .badCertificates: self = .badCertificates
    case .tooLarge: self = .tooLarge
    case .tooFast: self = .tooFast
    case .notJoined: self = .notJoined
    case .over: self = .over
    case .unreachable: self = .unreachable
    case .lost: self = .lost
    case .silent: self = .silent
    case .protocol: self = .protocol
    case .diverged: self = .diverged
    case .tooSlow: self = .tooSlow
    case .goingAway: self = .goingAway
    case .full: self = .full
    case .left: self = .left
    case .badCertificate: self = .badCertificate
    case .notStored: self = .notStored
    case .wrongPassword: self = .wrongPassword
    case .badSnapshot: self = .badSnapshot
    case .model: self = .model
    case .version: self = .version
    case .malformed: self = .malformed
    case .outOfOrder: self = .outOfOrder
    case .replaced: self = .replaced
    case .migration: self = .migration
    case .unknownModel: self = .unknownModel
    case .unknownQuery: self = .unknownQuery
    case .queryArgument: self = .queryArgument
    case .queryFailed: self = .queryFailed
    case .unknownHandler: self = .unknownHandler
    case .createFailed: self = .createFailed
    case .nameTaken: self = .nameTaken
    case .syncDiffers: self = .syncDiffers
    case .fault: self = .fault
    case .checkFailed: self = .checkFailed
    case .notRoot: self = .notRoot
    case .notDeclared: self = .notDeclared
    case .persistedTooLarge: self = .persistedTooLarge
    case .badBlobHandle: self = .badBlobHandle
    case .blobTooLarge: self = .blobTooLarge
    case .noRoom: self = .noRoom
    case .serverDiskFull: self = .serverDiskFull
    case .unknownBlob: self = .unknownBlob
    case .otherSession: self = .otherSession
    case .wrongBytes: self = .wrongBytes
    case .forgotten: self = .forgotten
    case .wrongSize: self = .wrongSize
    case .closed: self = .closed
    case .cancelled: self = .cancelled
    case .busy: self = .busy
    case .panic: self = .panic
    case .io: self = .io
    }
  }
}
