package teatime.share

import java.io.File
import kotlin.system.exitProcess
import kotlinx.coroutines.coroutineScope
import kotlinx.serialization.json.JsonObject
import teatime.App
import teatime.BlobHandle
import teatime.JoinOptions
import teatime.Session
import teatime.TeatimeException
import teatime.TransferProgress

/**
 * Shares files in a room, beside its chat. `put URL ROOM FILE` stores a file and prints its handle. `get URL ROOM
 * HANDLE FILE` fetches it. URL is the address of a reflector, such as `ws://192.0.2.1:9090`.
 */
suspend fun main(arguments: Array<String>) {
    if (arguments.size < 4) misused()
    try {
        share(arguments)
    } catch (error: TeatimeException) {
        System.err.println("share: ${error.message}")
        exitProcess(1)
    }
}

private suspend fun share(arguments: Array<String>): Unit = coroutineScope {
    val options = JoinOptions(App.chat(), arguments[1], arguments[2], options = JsonObject(emptyMap()))
    val session = Session.join(options, scope = this) {}
    session.use {
        when {
            arguments[0] == "put" && arguments.size == 4 ->
                println(session.store(File(arguments[3]), ::show))
            arguments[0] == "get" && arguments.size == 5 ->
                session.fetch(BlobHandle(arguments[3]), File(arguments[4]), ::show)
            else -> misused()
        }
    }
    // The others see the exit before the program ends.
    session.awaitEnd()
}

private fun show(progress: TransferProgress): Unit =
    System.err.println("${(100 * progress.fraction).toInt()} %")

private fun misused(): Nothing {
    System.err.println("share: expected: put URL ROOM FILE, or get URL ROOM HANDLE FILE")
    exitProcess(2)
}
