internal import TeatimeFFI

extension TeatimeError {
  /// How a call ended, or why a connection broke. Names and numbers are the same in every language, and are
  /// never reused. The hundreds group them by kind.
  public enum Code: Int32, Sendable, CaseIterable {
    /// The call succeeded.
    case ok = 0

    /// A required pointer is NULL.
    case nullPointer = 100
    /// The text is not valid UTF-8.
    case invalidUtf8 = 101
    /// The handle was freed, is of another type, or never came from this library.
    case wrongHandle = 102
    /// A callback used the session that called it.
    case reentrant = 103
    /// The caller's buffer is too small. The message states the required size.
    case bufferTooSmall = 104
    /// An argument is out of range.
    case invalidArgument = 105
    /// A context was used outside its callback: after the callback returned, on another thread, or
    /// inside a nested callback.
    case notInModel = 106
    /// This platform or this build does not support the operation.
    case unsupported = 107

    /// The bytes are not in the expected format.
    case badFormat = 200
    /// The value is of another type.
    case wrongType = 201
    /// The requested element does not exist.
    case notFound = 202
    /// The value has fewer elements than its array or map announced.
    case valueIncomplete = 203
    /// The value is complete and takes no more elements.
    case valueComplete = 204
    /// This format cannot express the value.
    case encoding = 205

    /// The name of the room is empty or too long.
    case badName = 300
    /// The password is empty or too long.
    case badPassword = 301
    /// The model rejects these options.
    case badOptions = 302
    /// The view data is too large.
    case badViewData = 303
    /// The ticks per second are out of range.
    case badTicks = 304
    /// The name of the program is too long.
    case badAgent = 305
    /// The text is not a valid join link.
    case badLink = 306
    /// The text is not a valid address of a reflector.
    case badAddress = 307
    /// The app's declaration is invalid: its ids, names or root model.
    case badApp = 308
    /// The link is too long for a QR code.
    case tooLong = 309
    /// The text contains no PEM certificates, or this build has no TLS.
    case badCertificates = 310

    /// The event is larger than the limit for events.
    case tooLarge = 400
    /// Too many events wait, to be sent or to be read. Publish fewer, or publish later.
    case tooFast = 401
    /// The session has not joined yet.
    case notJoined = 402
    /// The session was left, or has failed.
    case over = 403

    /// The client cannot reach a reflector. It tries again.
    case unreachable = 500
    /// The connection broke. The client tries again.
    case lost = 501
    /// The reflector was silent for too long. The client tries again.
    case silent = 502
    /// The other side broke the protocol. The client tries again.
    case `protocol` = 503
    /// This client's state is not what the log leads to. The client loads the right state.
    case diverged = 504
    /// This client is too slow. It starts again from a newer state.
    case tooSlow = 505
    /// The reflector shuts down. The client tries again.
    case goingAway = 506
    /// The reflector has no place for another client. The client tries again.
    case full = 507
    /// This client left.
    case left = 508
    /// The client does not trust the reflector's certificate; the message says why. It tries again,
    /// because another server may have answered.
    case badCertificate = 509
    /// The reflector cannot store the session, perhaps because its disk is full. The client tries
    /// again, and then sends the events again that have not come back. Or: the reflector cannot store
    /// or read blobs.
    case notStored = 510
    /// The session's snapshot is unusable.
    case badSnapshot = 521
    /// Creating the root model failed.
    case model = 522
    /// The reflector speaks another version of the protocol.
    case version = 523
    /// The reflector could not decode a message of this client.
    case malformed = 524
    /// The reflector got a message that is not allowed at that point.
    case outOfOrder = 525
    /// The same view has connected from elsewhere.
    case replaced = 526
    /// The data that another version of the app has persisted cannot be migrated; it stays unchanged.
    /// The message names both versions and the cause.
    case migration = 527
    /// This client could not prove who it is on this connection. The message says what to do, for example because a
    /// machine in between ends the TLS of a reflector that has a certificate of its own.
    case badProof = 528
    /// The session time of the reflector runs ahead of this client's clock by more than is possible.
    case clock = 529

    /// The model does not exist, or was destroyed.
    case unknownModel = 600
    /// The model does not have this query.
    case unknownQuery = 601
    /// The query does not accept this argument.
    case queryArgument = 602
    /// The query failed.
    case queryFailed = 603
    /// The model does not have this handler.
    case unknownHandler = 604
    /// The app does not have this model, or its `init` failed.
    case createFailed = 605
    /// Another model has this name.
    case nameTaken = 606
    /// A handler of the model is running, which led to this call.
    case modelRunning = 607
    /// The called handler failed or does not take the argument, or calls are nested too deep.
    case callFailed = 608

    /// The sync test found a difference; the message names model and field.
    case syncDiffers = 700
    /// A handler failed: in a sync test, or on every participant of a session.
    case fault = 701
    /// A simulation found an error other than a difference or a failed handler; the message says which.
    case checkFailed = 702
    /// Only the root model may persist data.
    case notRoot = 703
    /// The app has not declared that it persists this type.
    case notDeclared = 704
    /// The value is larger than the limit for persisted data.
    case persistedTooLarge = 705

    /// The text is not a valid blob handle.
    case badBlobHandle = 800
    /// The blob is larger than the reflector's limit. Nothing was sent. The message has both sizes.
    case blobTooLarge = 801
    /// The reflector has no space for the blob: the space of the room, or of all rooms, is used up.
    case noRoom = 802
    /// The reflector's disk is full.
    case serverDiskFull = 803
    /// The reflector does not have this blob: it was never stored, or no model has had its handle for
    /// long.
    case unknownBlob = 804
    /// The handle belongs to another app or room, or to another password.
    case otherSession = 805
    /// The reflector sent wrong bytes. The client passed none of them on.
    case wrongBytes = 806
    /// The reflector lost a part of the blob during the transfer. Store the blob again.
    case forgotten = 807
    /// The size of the file changed while the client read it.
    case wrongSize = 808
    /// The reflector ended the transfer for good; the message says why.
    case closed = 809
    /// The transfer was cancelled.
    case cancelled = 810
    /// The reflector has too many transfers at once. Try again later.
    case busy = 811

    /// The library panicked, which is a bug. Discard the object; the process may go on.
    case panic = 900
    /// The operating system refused an operation; the message says which.
    case io = 901
  }
}

extension TeatimeError.Code {
  /// The number, as logs show it.
  public var number: Int { Int(rawValue) }

  /// The name in logs and JSON, such as `BAD_SNAPSHOT`.
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
    case .badSnapshot: "BAD_SNAPSHOT"
    case .model: "MODEL"
    case .version: "VERSION"
    case .malformed: "MALFORMED"
    case .outOfOrder: "OUT_OF_ORDER"
    case .replaced: "REPLACED"
    case .migration: "MIGRATION"
    case .badProof: "BAD_PROOF"
    case .clock: "CLOCK"
    case .unknownModel: "UNKNOWN_MODEL"
    case .unknownQuery: "UNKNOWN_QUERY"
    case .queryArgument: "QUERY_ARGUMENT"
    case .queryFailed: "QUERY_FAILED"
    case .unknownHandler: "UNKNOWN_HANDLER"
    case .createFailed: "CREATE_FAILED"
    case .nameTaken: "NAME_TAKEN"
    case .modelRunning: "MODEL_RUNNING"
    case .callFailed: "CALL_FAILED"
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

  /// Exhaustive: a new code of the library does not compile before it stands in the table above.
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
    case .badSnapshot: self = .badSnapshot
    case .model: self = .model
    case .version: self = .version
    case .malformed: self = .malformed
    case .outOfOrder: self = .outOfOrder
    case .replaced: self = .replaced
    case .migration: self = .migration
    case .badProof: self = .badProof
    case .clock: self = .clock
    case .unknownModel: self = .unknownModel
    case .unknownQuery: self = .unknownQuery
    case .queryArgument: self = .queryArgument
    case .queryFailed: self = .queryFailed
    case .unknownHandler: self = .unknownHandler
    case .createFailed: self = .createFailed
    case .nameTaken: self = .nameTaken
    case .modelRunning: self = .modelRunning
    case .callFailed: self = .callFailed
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
