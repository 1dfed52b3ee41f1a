package teatime

/**
 * Something that failed: a code to switch on, and a message for people. The subclasses are the hundreds
 * of the codes.
 *
 * @property code the code, the same in every language
 */
public sealed class TeatimeException(
    public val code: ErrorCode,
    message: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /** A call that cannot be meant like that (1xx). */
    public class InvalidArgument internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    /** The native library is missing, or is not the one that belongs to this version. */
    public class LibraryUnavailable internal constructor(message: String, cause: Throwable) :
        TeatimeException(ErrorCode.UNSUPPORTED, message, cause)

    /** Data that cannot be read or written as was asked (2xx). */
    public class InvalidData internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    /** Options, addresses or links that lead nowhere (3xx). */
    public class InvalidOptions internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** An event that was not sent, or a session that is over (4xx). */
    public class NotSent internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** Why a connection broke or was refused (5xx). */
    public class Disconnected internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A question to a model that it did not answer (6xx). */
    public class QueryFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A model that failed (7xx). */
    public class ModelFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A blob that could not be stored or fetched (8xx). */
    public class TransferFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A bug of the library, or an operating system that refused what is needed (9xx). */
    public class Internal internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    internal companion object {
        /** The subclass that a code belongs to. */
        fun of(code: ErrorCode, message: String, cause: Throwable? = null): TeatimeException = when (code.number / 100) {
            1 -> InvalidArgument(code, message, cause)
            2 -> InvalidData(code, message, cause)
            3 -> InvalidOptions(code, message)
            4 -> NotSent(code, message)
            5 -> Disconnected(code, message)
            6 -> QueryFailed(code, message)
            7 -> ModelFailed(code, message)
            8 -> TransferFailed(code, message)
            else -> Internal(code, message, cause)
        }

        fun over(): TeatimeException = NotSent(ErrorCode.OVER, "the session was left")
    }
}
