package org.example.tally

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import teatime.App
import teatime.Handling
import teatime.JoinOptions
import teatime.Session

/** Joins the room of a reflector; every line that is typed is a tap, and all taps are shown. */
suspend fun main(arguments: Array<String>): Unit = coroutineScope {
    val reflector = arguments.firstOrNull() ?: "ws://127.0.0.1:9090"
    val options = JoinOptions(App.exported("tally_app"), reflector, name = "lobby")
    val session = Session.join(options, scope = this) {
        // The view: built from the model as it stands, and told of whatever comes after.
        val changes = events("tally", "changed", Handling.LATEST)
        show(session)
        launch { changes.collect { show(session) } }
    }
    session.use {
        // Ends with the input.
        while (withContext(Dispatchers.IO) { readlnOrNull() } != null) {
            session.applied(session.awaitPublish("tally", "add"))
        }
    }
}

private fun show(session: Session) {
    val total: Long = session.read("total")
    println("total $total")
}
