package teatime

import teatime.ffi.TeaStatus

/**
 * How a call ended, or why a connection broke. Names and numbers are the same in every language, and are never
 * reused. The hundreds group them by kind.
 *
 * @property number the number, as logs show it
 */
public enum class ErrorCode(public val number: Int) {
    /** The call succeeded. */
    OK(0),

    /** A required pointer is NULL. */
    NULL_POINTER(100),
    /** The text is not valid UTF-8. */
    INVALID_UTF8(101),
    /** The handle was freed, is of another type, or never came from this library. */
    WRONG_HANDLE(102),
    /** A callback used the session that called it. */
    REENTRANT(103),
    /** The caller's buffer is too small. The message states the required size. */
    BUFFER_TOO_SMALL(104),
    /** An argument is out of range. */
    INVALID_ARGUMENT(105),
    /**
     * A context was used outside its callback: after the callback returned, on another thread, or inside a
     * nested callback.
     */
    NOT_IN_MODEL(106),
    /** This platform or this build does not support the operation. */
    UNSUPPORTED(107),

    /** The bytes are not in the expected format. */
    BAD_FORMAT(200),
    /** The value is of another type. */
    WRONG_TYPE(201),
    /** The requested element does not exist. */
    NOT_FOUND(202),
    /** The value has fewer elements than its array or map announced. */
    VALUE_INCOMPLETE(203),
    /** The value is complete and takes no more elements. */
    VALUE_COMPLETE(204),
    /** This format cannot express the value. */
    ENCODING(205),

    /** The name of the room is empty or too long. */
    BAD_NAME(300),
    /** The password is empty or too long. */
    BAD_PASSWORD(301),
    /** The model rejects these options. */
    BAD_OPTIONS(302),
    /** The view data is too large. */
    BAD_VIEW_DATA(303),
    /** The ticks per second are out of range. */
    BAD_TICKS(304),
    /** The name of the program is too long. */
    BAD_AGENT(305),
    /** The text is not a valid join link. */
    BAD_LINK(306),
    /** The text is not a valid address of a reflector. */
    BAD_ADDRESS(307),
    /** The app's declaration is invalid: its ids, names or root model. */
    BAD_APP(308),
    /** The link is too long for a QR code. */
    TOO_LONG(309),
    /** The text contains no PEM certificates, or this build has no TLS. */
    BAD_CERTIFICATES(310),

    /** The event is larger than the limit for events. */
    TOO_LARGE(400),
    /** Too many events wait, to be sent or to be read. Publish fewer, or publish later. */
    TOO_FAST(401),
    /** The session has not joined yet. */
    NOT_JOINED(402),
    /** The session was left, or has failed. */
    OVER(403),

    /** The client cannot reach a reflector. It tries again. */
    UNREACHABLE(500),
    /** The connection broke. The client tries again. */
    LOST(501),
    /** The reflector was silent for too long. The client tries again. */
    SILENT(502),
    /** The other side broke the protocol. The client tries again. */
    PROTOCOL(503),
    /** This client's state is not what the log leads to. The client loads the right state. */
    DIVERGED(504),
    /** This client is too slow. It starts again from a newer state. */
    TOO_SLOW(505),
    /** The reflector shuts down. The client tries again. */
    GOING_AWAY(506),
    /** The reflector has no place for another client. The client tries again. */
    FULL(507),
    /** This client left. */
    LEFT(508),
    /**
     * The client does not trust the reflector's certificate; the message says why. It tries again, because
     * another server may have answered.
     */
    BAD_CERTIFICATE(509),
    /**
     * The reflector cannot store the session, perhaps because its disk is full. The client tries again, and
     * then sends the events again that have not come back. Or: the reflector cannot store or read blobs.
     */
    NOT_STORED(510),
    /** The session's snapshot is unusable. */
    BAD_SNAPSHOT(521),
    /** Creating the root model failed. */
    MODEL(522),
    /** The reflector speaks another version of the protocol. */
    VERSION(523),
    /** The reflector could not decode a message of this client. */
    MALFORMED(524),
    /** The reflector got a message that is not allowed at that point. */
    OUT_OF_ORDER(525),
    /** The same view has connected from elsewhere. */
    REPLACED(526),
    /**
     * The data that another version of the app has persisted cannot be migrated; it stays unchanged. The
     * message names both versions and the cause.
     */
    MIGRATION(527),
    /**
     * This client could not prove who it is on this connection. The message says what to do, for example because a
     * machine in between ends the TLS of a reflector that has a certificate of its own.
     */
    BAD_PROOF(528),
    /** The session time of the reflector runs ahead of this client's clock by more than is possible. */
    CLOCK(529),

    /** The model does not exist, or was destroyed. */
    UNKNOWN_MODEL(600),
    /** The model does not have this query. */
    UNKNOWN_QUERY(601),
    /** The query does not accept this argument. */
    QUERY_ARGUMENT(602),
    /** The query failed. */
    QUERY_FAILED(603),
    /** The model does not have this handler. */
    UNKNOWN_HANDLER(604),
    /** The app does not have this model, or its `init` failed. */
    CREATE_FAILED(605),
    /** Another model has this name. */
    NAME_TAKEN(606),
    /** A handler of the model is running, which led to this call. */
    MODEL_RUNNING(607),
    /** The called handler failed or does not take the argument, or calls are nested too deep. */
    CALL_FAILED(608),

    /** The sync test found a difference; the message names model and field. */
    SYNC_DIFFERS(700),
    /** A handler failed: in a sync test, or on every participant of a session. */
    FAULT(701),
    /** A simulation found an error other than a difference or a failed handler; the message says which. */
    CHECK_FAILED(702),
    /** Only the root model may persist data. */
    NOT_ROOT(703),
    /** The app has not declared that it persists this type. */
    NOT_DECLARED(704),
    /** The value is larger than the limit for persisted data. */
    PERSISTED_TOO_LARGE(705),

    /** The text is not a valid blob handle. */
    BAD_BLOB_HANDLE(800),
    /** The blob is larger than the reflector's limit. Nothing was sent. The message has both sizes. */
    BLOB_TOO_LARGE(801),
    /** The reflector has no space for the blob: the space of the room, or of all rooms, is used up. */
    NO_ROOM(802),
    /** The reflector's disk is full. */
    SERVER_DISK_FULL(803),
    /** The reflector does not have this blob: it was never stored, or no model has had its handle for long. */
    UNKNOWN_BLOB(804),
    /** The handle belongs to another app or room, or to another password. */
    OTHER_SESSION(805),
    /** The reflector sent wrong bytes. The client passed none of them on. */
    WRONG_BYTES(806),
    /** The reflector lost a part of the blob during the transfer. Store the blob again. */
    FORGOTTEN(807),
    /** The size of the file changed while the client read it. */
    WRONG_SIZE(808),
    /** The reflector ended the transfer for good; the message says why. */
    CLOSED(809),
    /** The transfer was cancelled. */
    CANCELLED(810),
    /** The reflector has too many transfers at once. Try again later. */
    BUSY(811),

    /** The library panicked, which is a bug. Discard the object; the process may go on. */
    PANIC(900),
    /** The operating system refused an operation; the message says which. */
    IO(901),
}

/** Exhaustive: a new code of the library does not compile before it stands in the table above. */
internal fun errorCode(status: TeaStatus): ErrorCode = when (status) {
    TeaStatus.OK -> ErrorCode.OK
    TeaStatus.NULL_POINTER -> ErrorCode.NULL_POINTER
    TeaStatus.INVALID_UTF8 -> ErrorCode.INVALID_UTF8
    TeaStatus.WRONG_HANDLE -> ErrorCode.WRONG_HANDLE
    TeaStatus.REENTRANT -> ErrorCode.REENTRANT
    TeaStatus.BUFFER_TOO_SMALL -> ErrorCode.BUFFER_TOO_SMALL
    TeaStatus.INVALID_ARGUMENT -> ErrorCode.INVALID_ARGUMENT
    TeaStatus.NOT_IN_MODEL -> ErrorCode.NOT_IN_MODEL
    TeaStatus.UNSUPPORTED -> ErrorCode.UNSUPPORTED
    TeaStatus.BAD_FORMAT -> ErrorCode.BAD_FORMAT
    TeaStatus.WRONG_TYPE -> ErrorCode.WRONG_TYPE
    TeaStatus.NOT_FOUND -> ErrorCode.NOT_FOUND
    TeaStatus.VALUE_INCOMPLETE -> ErrorCode.VALUE_INCOMPLETE
    TeaStatus.VALUE_COMPLETE -> ErrorCode.VALUE_COMPLETE
    TeaStatus.ENCODING -> ErrorCode.ENCODING
    TeaStatus.BAD_NAME -> ErrorCode.BAD_NAME
    TeaStatus.BAD_PASSWORD -> ErrorCode.BAD_PASSWORD
    TeaStatus.BAD_OPTIONS -> ErrorCode.BAD_OPTIONS
    TeaStatus.BAD_VIEW_DATA -> ErrorCode.BAD_VIEW_DATA
    TeaStatus.BAD_TICKS -> ErrorCode.BAD_TICKS
    TeaStatus.BAD_AGENT -> ErrorCode.BAD_AGENT
    TeaStatus.BAD_LINK -> ErrorCode.BAD_LINK
    TeaStatus.BAD_ADDRESS -> ErrorCode.BAD_ADDRESS
    TeaStatus.BAD_APP -> ErrorCode.BAD_APP
    TeaStatus.TOO_LONG -> ErrorCode.TOO_LONG
    TeaStatus.BAD_CERTIFICATES -> ErrorCode.BAD_CERTIFICATES
    TeaStatus.TOO_LARGE -> ErrorCode.TOO_LARGE
    TeaStatus.TOO_FAST -> ErrorCode.TOO_FAST
    TeaStatus.NOT_JOINED -> ErrorCode.NOT_JOINED
    TeaStatus.OVER -> ErrorCode.OVER
    TeaStatus.UNREACHABLE -> ErrorCode.UNREACHABLE
    TeaStatus.LOST -> ErrorCode.LOST
    TeaStatus.SILENT -> ErrorCode.SILENT
    TeaStatus.PROTOCOL -> ErrorCode.PROTOCOL
    TeaStatus.DIVERGED -> ErrorCode.DIVERGED
    TeaStatus.TOO_SLOW -> ErrorCode.TOO_SLOW
    TeaStatus.GOING_AWAY -> ErrorCode.GOING_AWAY
    TeaStatus.FULL -> ErrorCode.FULL
    TeaStatus.LEFT -> ErrorCode.LEFT
    TeaStatus.BAD_CERTIFICATE -> ErrorCode.BAD_CERTIFICATE
    TeaStatus.NOT_STORED -> ErrorCode.NOT_STORED
    TeaStatus.BAD_SNAPSHOT -> ErrorCode.BAD_SNAPSHOT
    TeaStatus.MODEL -> ErrorCode.MODEL
    TeaStatus.VERSION -> ErrorCode.VERSION
    TeaStatus.MALFORMED -> ErrorCode.MALFORMED
    TeaStatus.OUT_OF_ORDER -> ErrorCode.OUT_OF_ORDER
    TeaStatus.REPLACED -> ErrorCode.REPLACED
    TeaStatus.MIGRATION -> ErrorCode.MIGRATION
    TeaStatus.BAD_PROOF -> ErrorCode.BAD_PROOF
    TeaStatus.CLOCK -> ErrorCode.CLOCK
    TeaStatus.UNKNOWN_MODEL -> ErrorCode.UNKNOWN_MODEL
    TeaStatus.UNKNOWN_QUERY -> ErrorCode.UNKNOWN_QUERY
    TeaStatus.QUERY_ARGUMENT -> ErrorCode.QUERY_ARGUMENT
    TeaStatus.QUERY_FAILED -> ErrorCode.QUERY_FAILED
    TeaStatus.UNKNOWN_HANDLER -> ErrorCode.UNKNOWN_HANDLER
    TeaStatus.CREATE_FAILED -> ErrorCode.CREATE_FAILED
    TeaStatus.NAME_TAKEN -> ErrorCode.NAME_TAKEN
    TeaStatus.MODEL_RUNNING -> ErrorCode.MODEL_RUNNING
    TeaStatus.CALL_FAILED -> ErrorCode.CALL_FAILED
    TeaStatus.SYNC_DIFFERS -> ErrorCode.SYNC_DIFFERS
    TeaStatus.FAULT -> ErrorCode.FAULT
    TeaStatus.CHECK_FAILED -> ErrorCode.CHECK_FAILED
    TeaStatus.NOT_ROOT -> ErrorCode.NOT_ROOT
    TeaStatus.NOT_DECLARED -> ErrorCode.NOT_DECLARED
    TeaStatus.PERSISTED_TOO_LARGE -> ErrorCode.PERSISTED_TOO_LARGE
    TeaStatus.BAD_BLOB_HANDLE -> ErrorCode.BAD_BLOB_HANDLE
    TeaStatus.BLOB_TOO_LARGE -> ErrorCode.BLOB_TOO_LARGE
    TeaStatus.NO_ROOM -> ErrorCode.NO_ROOM
    TeaStatus.SERVER_DISK_FULL -> ErrorCode.SERVER_DISK_FULL
    TeaStatus.UNKNOWN_BLOB -> ErrorCode.UNKNOWN_BLOB
    TeaStatus.OTHER_SESSION -> ErrorCode.OTHER_SESSION
    TeaStatus.WRONG_BYTES -> ErrorCode.WRONG_BYTES
    TeaStatus.FORGOTTEN -> ErrorCode.FORGOTTEN
    TeaStatus.WRONG_SIZE -> ErrorCode.WRONG_SIZE
    TeaStatus.CLOSED -> ErrorCode.CLOSED
    TeaStatus.CANCELLED -> ErrorCode.CANCELLED
    TeaStatus.BUSY -> ErrorCode.BUSY
    TeaStatus.PANIC -> ErrorCode.PANIC
    TeaStatus.IO -> ErrorCode.IO
}
