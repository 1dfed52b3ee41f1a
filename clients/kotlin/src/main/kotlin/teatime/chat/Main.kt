package teatime.chat

import java.io.BufferedInputStream
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import kotlin.concurrent.thread
import kotlin.system.exitProcess
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import teatime.Chat
import teatime.Reflector
import teatime.TeatimeException

fun main(arguments: Array<String>): Unit = exitProcess(
    try {
        chat(Arguments.parse(arguments.toList()))
    } catch (error: UsageError) {
        System.err.println(error.message?.let { "teatime-chat: $it" } ?: UsageError.TEXT)
        2
    } catch (error: TeatimeException) {
        System.err.println("teatime-chat: ${Chat.printable(error.message.orEmpty())}")
        if (error is TeatimeException.InvalidOptions || error is TeatimeException.InvalidArgument) 2 else 1
    },
)

/** Chats until the user leaves; returns the exit code. */
private fun chat(arguments: Arguments): Int {
    val local = if (arguments.reflector == null) Reflector.local() else null
    val model = ChatModel(arguments.room(arguments.reflector ?: local?.url.orEmpty()))
    onSignals { model.leave() }
    val front = if (arguments.json) JsonFront() else PlainFront()
    front.onReaderGone = { model.leave() }
    runBlocking { chat(model, front, lines(System.`in`)) }
    local?.close()
    return front.exitCode
}

private suspend fun chat(model: ChatModel, front: Front, lines: ReceiveChannel<String>) = coroutineScope {
    val typing = launch {
        try {
            for (line in lines) if (!obey(model, front, line)) break
            model.settle()
            model.leave()
        } catch (_: TeatimeException) {
            // The session has failed, and the front end has already shown that.
        }
    }
    model.run(front::take)
    typing.cancel()
}

/** Executes a line of input. Returns false if the line says to leave. */
private suspend fun obey(model: ChatModel, front: Front, line: String): Boolean = try {
    front.obey(model, line)
} catch (refused: TeatimeException) {
    front.fail(refused)
    true
}

/** The lines of an input. A thread of its own reads each line after the program has taken the one before. */
private fun lines(input: InputStream): ReceiveChannel<String> {
    val lines = Channel<String>()
    thread(isDaemon = true) {
        val bytes = BufferedInputStream(input)
        try {
            // Some editors begin a file with a byte order mark.
            var mark = "\uFEFF"
            while (true) {
                lines.trySendBlocking((nextLine(bytes) ?: break).removePrefix(mark))
                mark = ""
            }
        } catch (_: IOException) {
            // The terminal is gone: the end of the input.
        }
        lines.close()
    }
    return lines
}

private fun nextLine(input: InputStream): String? {
    val line = ByteArrayOutputStream()
    var byte = input.read()
    if (byte < 0) return null
    while (byte >= 0 && byte != '\n'.code) {
        line.write(byte)
        byte = input.read()
    }
    return line.toByteArray().decodeToString().removeSuffix("\r")
}
