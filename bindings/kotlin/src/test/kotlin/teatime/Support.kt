package teatime

import java.util.UUID
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onStart
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import org.junit.jupiter.api.Assertions.fail

/** Longer than any step of the tests takes. */
val PATIENCE = 120.seconds

@Serializable
data class ChatOptions(
    @SerialName("inactivity_seconds") val inactivitySeconds: Int = 1200,
    val announce: Boolean = false,
)

@Serializable
data class Line(@SerialName("view_id") val viewId: ViewId?, val html: String)

@Serializable
data class Post(val text: String)

/** Options of a room of its own for each test. */
fun room(url: String, password: String? = null, name: String = UUID.randomUUID().toString()) =
    JoinOptions(App.chat(), url, name, password, toJson(ChatOptions()), agent = "test")

/** Waits for [block]. A failure shows [seen]. */
suspend fun <T : Any> patiently(what: String, seen: () -> Any? = { "nothing to see" }, block: suspend () -> T): T =
    withTimeoutOrNull(PATIENCE) { block() } ?: fail("no $what: ${seen()}")

/** A test with a reflector of its own. */
fun <T> withReflector(test: suspend CoroutineScope.(url: String) -> T) {
    Reflector.start("127.0.0.1:0").use { reflector ->
        runBlocking { coroutineScope { test(reflector.url) } }
    }
}

val Session.history: List<Line> get() = read("history")

val Session.lines: List<String> get() = history.map { Chat.plainText(it.html) }

val Session.participants: Int get() = read("participants")

fun Session.nickname(view: ViewId): String? = read("nickname", JsonPrimitive(view.hex))

fun Session.post(text: String): Receipt = publish("input", "newPost", Post(text))

fun postOf(text: String) = buildJsonObject { put("text", JsonPrimitive(text)) }

/** Waits until [holds] accepts the session. Looks again after every event of a change. */
suspend fun Session.until(what: String, holds: Session.() -> Boolean) {
    val changes: Flow<Event> = events("*", "refresh")
    patiently(what, { "lines $lines, views $views, $viewId" }) {
        changes.onStart { emit(Event("", "", null, ByteArray(0))) }.first { holds() }
    }
}

/** Waits for a state of the connection. */
suspend fun Session.untilState(what: String, wanted: (ConnectionState) -> Boolean): ConnectionState =
    patiently(what, { connection.value }) { connection.first(wanted) }

/** Joins, and fails if that takes too long. */
suspend fun join(options: JoinOptions, scope: CoroutineScope? = null, view: View.() -> Unit = {}): Session =
    patiently("view") { Session.join(options, scope, view) }

/** The exception of something that must fail. */
inline fun failure(block: () -> Any?): TeatimeException {
    val result = try {
        block()
    } catch (failure: TeatimeException) {
        return failure
    }
    return fail("it did not fail: $result")
}
