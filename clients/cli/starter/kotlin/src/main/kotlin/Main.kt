package org.example.tally

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import teatime.App
import teatime.Handling
import teatime.JoinOptions
import teatime.Session

/** Joins a room and shows the number of taps. Every typed line is a tap. */
suspend fun main(arguments: Array<String>): Unit = coroutineScope {
    val reflector = arguments.firstOrNull() ?: "ws://127.0.0.1:9090"
    val options = JoinOptions(App.exported("tally_app"), reflector, name = "lobby")
    val session = Session.join(options, scope = this) {
        // The view: shows the current model, and then every change.
        val changes = events("tally", "changed", Handling.LATEST)
        show(session)
        launch { changes.collect { show(session) } }
    }
    session.use {
        // Runs until the input ends.
        while (withContext(Dispatchers.IO) { readlnOrNull() } != null) {
            session.applied(session.awaitPublish("tally", "add"))
        }
    }
}

private fun show(session: Session) {
    val total: Long = session.read("total")
    println("total $total")
}
