package teatime

import teatime.ffi.TeaStatus

/**
 * How a call ended, or why a connection did. Names and numbers are the same in every language and never
 * reused; hundreds group them by what was wrong.
 *
 * @property number the number, as it stands in logs
 */
public enum class ErrorCode(public val number: Int) {
    /** It went well. */
    OK(0),

    /** A pointer is NULL that must not be. */
    NULL_POINTER(100),
    /** A text is no UTF-8. */
    INVALID_UTF8(101),
    /** A handle was freed, or belongs to another type, or was never given out. */
    WRONG_HANDLE(102),
    /** A session was used by a callback that it called itself. */
    REENTRANT(103),
    /** The caller's buffer is too small; the message says how large it must be. */
    BUFFER_TOO_SMALL(104),
    /** An argument is out of its range. */
    INVALID_ARGUMENT(105),
    /**
     * A context was used after its callback had returned, by another thread, or from within a
     * callback that it had led to.
     */
    NOT_IN_MODEL(106),
    /** This platform or build does not have it. */
    UNSUPPORTED(107),

    /** The bytes are not the format that they should be. */
    BAD_FORMAT(200),
    /** The value has another type. */
    WRONG_TYPE(201),
    /** There is no such element. */
    NOT_FOUND(202),
    /** The value lacks elements that an array or a map has announced. */
    VALUE_INCOMPLETE(203),
    /** The value has everything already. */
    VALUE_COMPLETE(204),
    /** The value cannot be expressed in this format. */
    ENCODING(205),

    /** The name of the room is empty or too long. */
    BAD_NAME(300),
    /** The password is empty or too long. */
    BAD_PASSWORD(301),
    /** The model does not take these options. */
    BAD_OPTIONS(302),
    /** The view data is too large. */
    BAD_VIEW_DATA(303),
    /** The ticks per second are out of range. */
    BAD_TICKS(304),
    /** The name of the program is too long. */
    BAD_AGENT(305),
    /** The text is no join link. */
    BAD_LINK(306),
    /** The text is no address of a reflector. */
    BAD_ADDRESS(307),
    /** The app is not declared properly: ids, names or the root model. */
    BAD_APP(308),
    /** The link is longer than a QR code can hold. */
    TOO_LONG(309),
    /** The text is no certificates in PEM, or this build has no TLS. */
    BAD_CERTIFICATES(310),

    /** The event is larger than an event may be. */
    TOO_LARGE(400),
    /** Too much is waiting, to be sent or to be pulled: publish less, or later. */
    TOO_FAST(401),
    /** The session has not been joined yet. */
    NOT_JOINED(402),
    /** The session was left, or has failed. */
    OVER(403),

    /** No reflector can be reached; it is tried again. */
    UNREACHABLE(500),
    /** The connection broke; it is tried again. */
    LOST(501),
    /** Nothing was heard for too long; it is tried again. */
    SILENT(502),
    /** The other side broke the protocol; it is tried again. */
    PROTOCOL(503),
    /** This client's state was not the majority's; it loads theirs. */
    DIVERGED(504),
    /** This client is too slow; it starts anew from a newer state. */
    TOO_SLOW(505),
    /** The reflector is going down; it is tried again. */
    GOING_AWAY(506),
    /** The reflector has no room for another client; it is tried again. */
    FULL(507),
    /** This client left. */
    LEFT(508),
    /**
     * The reflector's certificate is not to be trusted; the message says why. It is tried again:
     * somebody else may have answered.
     */
    BAD_CERTIFICATE(509),
    /**
     * The reflector cannot store the session, its disk is full perhaps; it is tried again, and what
     * was published and has not come back yet is sent again then. Or it cannot store or read blobs.
     */
    NOT_STORED(510),
    /** The password is not the one that the session was started with. */
    WRONG_PASSWORD(520),
    /** The session's snapshot cannot be used. */
    BAD_SNAPSHOT(521),
    /** The root model could not be made. */
    MODEL(522),
    /** The reflector speaks another version of the protocol. */
    VERSION(523),
    /** The reflector took a frame of this client for no message. */
    MALFORMED(524),
    /** The reflector got a message that may not come at that point. */
    OUT_OF_ORDER(525),
    /** The same view has connected again from elsewhere. */
    REPLACED(526),
    /**
     * What another version of the app has persisted cannot be migrated; it stays as it is. The message
     * says from which version to which, and why.
     */
    MIGRATION(527),

    /** There is no such model (any more). */
    UNKNOWN_MODEL(600),
    /** The model has no such query. */
    UNKNOWN_QUERY(601),
    /** The argument is not what the query takes. */
    QUERY_ARGUMENT(602),
    /** The query failed. */
    QUERY_FAILED(603),
    /** The model has no such handler. */
    UNKNOWN_HANDLER(604),
    /** The app has no such model, or its init failed. */
    CREATE_FAILED(605),
    /** Another model has this name. */
    NAME_TAKEN(606),

    /** The sync test found a difference; the message names model and field. */
    SYNC_DIFFERS(700),
    /** A handler failed in a sync test, or on every participant of a session alike. */
    FAULT(701),
    /** A simulation found something else wrong than that participants differ or a handler fails; the message says what. */
    CHECK_FAILED(702),
    /** Only the root model may persist data. */
    NOT_ROOT(703),
    /** This is not what the app has declared that it persists. */
    NOT_DECLARED(704),
    /** The data is larger than what may be persisted. */
    PERSISTED_TOO_LARGE(705),

    /** The text is no handle of a blob. */
    BAD_BLOB_HANDLE(800),
    /** The blob is larger than the reflector takes; nothing of it was sent. The message has both sizes. */
    BLOB_TOO_LARGE(801),
    /** The reflector has no room for the blob: what the room may have is used up, or all that it has. */
    NO_ROOM(802),
    /** The disk of the reflector is full. */
    SERVER_DISK_FULL(803),
    /** The reflector has no such blob: it was never there, or no model has had its handle for long. */
    UNKNOWN_BLOB(804),
    /** The handle is one of another app or room, or of another password. */
    OTHER_SESSION(805),
    /** The reflector handed out wrong bytes. None of them was passed on. */
    WRONG_BYTES(806),
    /** The reflector lost a part of the blob while it was on its way: store it again. */
    FORGOTTEN(807),
    /** The file changed its size while it was read. */
    WRONG_SIZE(808),
    /** The reflector ended the transfer for good; the message says why. */
    CLOSED(809),
    /** The transfer was cancelled. */
    CANCELLED(810),
    /** The reflector has too many transfers at once: try again later. */
    BUSY(811),

    /** A bug of the library: it panicked. The object is as good as lost, the process is not. */
    PANIC(900),
    /** The operating system refused what is needed. */
    IO(901),
}

/** Exhaustive, so that a new code does not compile before it has been added above. */
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
    TeaStatus.WRONG_PASSWORD -> ErrorCode.WRONG_PASSWORD
    TeaStatus.BAD_SNAPSHOT -> ErrorCode.BAD_SNAPSHOT
    TeaStatus.MODEL -> ErrorCode.MODEL
    TeaStatus.VERSION -> ErrorCode.VERSION
    TeaStatus.MALFORMED -> ErrorCode.MALFORMED
    TeaStatus.OUT_OF_ORDER -> ErrorCode.OUT_OF_ORDER
    TeaStatus.REPLACED -> ErrorCode.REPLACED
    TeaStatus.MIGRATION -> ErrorCode.MIGRATION
    TeaStatus.UNKNOWN_MODEL -> ErrorCode.UNKNOWN_MODEL
    TeaStatus.UNKNOWN_QUERY -> ErrorCode.UNKNOWN_QUERY
    TeaStatus.QUERY_ARGUMENT -> ErrorCode.QUERY_ARGUMENT
    TeaStatus.QUERY_FAILED -> ErrorCode.QUERY_FAILED
    TeaStatus.UNKNOWN_HANDLER -> ErrorCode.UNKNOWN_HANDLER
    TeaStatus.CREATE_FAILED -> ErrorCode.CREATE_FAILED
    TeaStatus.NAME_TAKEN -> ErrorCode.NAME_TAKEN
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
