package teatime.hello

import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.put
import teatime.App
import teatime.JoinOptions
import teatime.Reflector
import teatime.Session

/** The shortest chat: joins a room of this machine, says one line, and prints what is said. */
suspend fun main(): Unit = coroutineScope {
    val reflector = Reflector.local()
    val options = JoinOptions(
        App.chat(), reflector.url, "lobby", options = JsonObject(emptyMap()),
    )
    val session = Session.join(options, scope = this) {
        val changes = events("history", "refresh")
        launch { changes.collect { println(session.readJson("history").jsonArray.last()) } }
    }
    session.publishJson("input", "newPost", buildJsonObject { put("text", "four o'clock") })
    session.awaitEnd()
}
