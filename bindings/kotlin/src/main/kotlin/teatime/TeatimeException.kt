package teatime

/**
 * A failure: a code to switch on, and a message for people. There is a subclass for each hundred of the codes.
 *
 * @property code the code, the same in every language
 */
public sealed class TeatimeException(
    public val code: ErrorCode,
    message: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /** An invalid call (1xx). */
    public class InvalidArgument internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    /** The native library is missing, or is of another version. */
    public class LibraryUnavailable internal constructor(message: String, cause: Throwable) :
        TeatimeException(ErrorCode.UNSUPPORTED, message, cause)

    /** A value that cannot be read or written as requested (2xx). */
    public class InvalidValue internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    /** Invalid options, addresses or links (3xx). */
    public class InvalidOptions internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** An event that was not sent, or a session that is over (4xx). */
    public class NotSent internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** The reason why a connection broke or was refused (5xx). */
    public class Disconnected internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A query that a model did not answer (6xx). */
    public class QueryFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A model that failed (7xx). */
    public class ModelFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A transfer of a blob that failed (8xx). */
    public class TransferFailed internal constructor(code: ErrorCode, message: String) :
        TeatimeException(code, message, null)

    /** A bug of the library, or an operation that the operating system refused (9xx). */
    public class Internal internal constructor(code: ErrorCode, message: String, cause: Throwable? = null) :
        TeatimeException(code, message, cause)

    internal companion object {
        /** An exception of the code's subclass. */
        fun of(code: ErrorCode, message: String, cause: Throwable? = null): TeatimeException = when (code.number / 100) {
            1 -> InvalidArgument(code, message, cause)
            2 -> InvalidValue(code, message, cause)
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
