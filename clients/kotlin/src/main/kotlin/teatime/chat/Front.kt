package teatime.chat

import java.io.FileOutputStream
import java.io.FileDescriptor
import java.io.IOException
import kotlin.system.exitProcess
import teatime.ConnectionState
import teatime.ErrorCode
import teatime.TeatimeException

/** One of the forms in which a terminal shows a chat. */
internal abstract class Front {
    private val out = FileOutputStream(FileDescriptor.out)
    private var broken = false
    private var toldUnreached = false

    /** 0 as long as nothing has failed for good. */
    var exitCode = 0
        private set

    /** Does what a line says; false if it says to leave. */
    abstract suspend fun obey(model: ChatModel, line: String): Boolean

    /** Shows a change. */
    abstract fun show(update: ChatUpdate)

    /** Shows a failure. */
    abstract fun fail(code: String, message: String)

    /** Shows that the connection was lost, is back, or was left. */
    abstract fun connection(name: String)

    fun tell(update: ChatUpdate) {
        if (update is ChatUpdate.Connection) changed(update.state)
        if (update is ChatUpdate.Failure) fail(update.code, update.message)
        show(update)
    }

    fun fail(failure: TeatimeException) = fail(failure.code.name, failure.message.orEmpty())

    private fun changed(state: ConnectionState) {
        when (state) {
            is ConnectionState.Connecting -> unreached(state.reason)
            is ConnectionState.CatchingUp -> {}
            is ConnectionState.Live -> {
                toldUnreached = false
                if (broken) connection("live")
                broken = false
            }
            is ConnectionState.Reconnecting -> {
                unreached(state.reason)
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

    /** Tried again and again, and told once. */
    private fun unreached(reason: TeatimeException?) {
        if (reason == null || toldUnreached || reason.code !in UNREACHED) return
        toldUnreached = true
        fail(reason)
    }

    /** Prints a line at once. If nobody reads any more there is nothing left to do. */
    protected fun print(line: String) {
        try {
            out.write("$line\n".encodeToByteArray())
        } catch (_: IOException) {
            exitProcess(1)
        }
    }

    private companion object {
        val UNREACHED = setOf(ErrorCode.UNREACHABLE, ErrorCode.BAD_CERTIFICATE, ErrorCode.NOT_STORED)
    }
}
