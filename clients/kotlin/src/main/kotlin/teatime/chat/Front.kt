package teatime.chat

import java.io.FileOutputStream
import java.io.FileDescriptor
import java.io.IOException
import teatime.ConnectionState
import teatime.ErrorCode
import teatime.TeatimeException

/** A front end for a terminal: plain text or JSON. */
internal abstract class Front {
    private val out = FileOutputStream(FileDescriptor.out)
    private var broken = false
    private var isReaderGone = false
    private var hasReportedUnreached = false

    /** 0 unless the session has failed for good, or the reader of the output is gone. */
    var exitCode = 0
        private set

    /** Called when the reader of the output, or the terminal, is gone, to leave the room. */
    var onReaderGone: () -> Unit = {}

    /** Executes a line of input. Returns false if the line says to leave. */
    abstract suspend fun obey(model: ChatModel, line: String): Boolean

    /** Shows a change. */
    abstract fun show(update: ChatUpdate)

    /** Shows a failure. */
    abstract fun fail(code: String, message: String)

    /** Shows the state of the connection when it is lost, back, or left. */
    abstract fun connection(name: String)

    fun take(update: ChatUpdate) {
        if (update is ChatUpdate.Connection) change(update.state)
        if (update is ChatUpdate.Failure) fail(update.code, update.message)
        show(update)
    }

    fun fail(failure: TeatimeException) = fail(failure.code.name, failure.message.orEmpty())

    private fun change(state: ConnectionState) {
        when (state) {
            is ConnectionState.Connecting -> reportUnreached(state.reason)
            is ConnectionState.CatchingUp -> {}
            is ConnectionState.Live -> {
                hasReportedUnreached = false
                if (broken) connection("live")
                broken = false
            }
            is ConnectionState.Reconnecting -> {
                reportUnreached(state.reason)
                if (!broken) connection("reconnecting")
                broken = true
            }
            is ConnectionState.Left -> connection("left")
            is ConnectionState.Failed -> {
                fail(state.reason)
                exitCode = 1
            }
        }
    }

    /** Reports the first of many failed attempts. */
    private fun reportUnreached(reason: TeatimeException?) {
        if (reason == null || hasReportedUnreached || reason.code !in UNREACHED) return
        hasReportedUnreached = true
        fail(reason)
    }

    /** Prints a line at once. Leaves if the reader of the output is gone. */
    protected fun print(line: String) {
        if (isReaderGone) return
        try {
            out.write("$line\n".encodeToByteArray())
        } catch (_: IOException) {
            isReaderGone = true
            exitCode = 1
            onReaderGone()
        }
    }

    private companion object {
        val UNREACHED = setOf(ErrorCode.UNREACHABLE, ErrorCode.BAD_CERTIFICATE, ErrorCode.NOT_STORED)
    }
}
