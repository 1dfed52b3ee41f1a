package teatime

import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class EventsTest {
    @Test
    fun `a slow collector gets ten thousand events in order`() = withReflector { url ->
        join(room(url)).use { session ->
            val flow = session.events("test", "number")
            repeat(10_000) { session.publishToViews("test", "number", it) }
            var count = 0
            val numbers = patiently("events", { count }) {
                flow.map { it.decode<Int>() }.onEach { if (count++ % 500 == 0) delay(1) }.take(10_000).toList()
            }
            assertEquals((0 until 10_000).toList(), numbers)
        }
    }

    @Test
    fun `ten thousand posts of others give one event each`() = withReflector { url ->
        val options = room(url)
        join(options).use { listener ->
            val flow = listener.events("history", "refresh")
            val talkers = List(10) { join(options) }
            val talking = talkers.map { talker -> launch(Dispatchers.Default) { repeat(10) { talker.talk(100) } } }
            var count = 0
            patiently("events", { "$count; ${listener.lines.last()}" }) { flow.take(10_000).onEach { count++ }.toList() }
            talking.joinAll()
            // There are no more events: the next one belongs to this post.
            val more = listener.events("history", "refresh")
            listener.applied(listener.post("the end"))
            talkers.forEach { it.close() }
            listener.close()
            assertEquals(1, patiently("end") { more.toList() }.size)
        }
    }

    /** Sends [count] posts, and then pauses to stay below the reflector's rate limit. */
    private suspend fun Session.talk(count: Int) {
        val last = List(count) { awaitPublish("input", "newPost", postOf("post $it")) }.last()
        applied(last)
        delay(150.milliseconds)
    }

    @Test
    fun `a subscription to the newest keeps the newest`() = withReflector { url ->
        join(room(url)).use { session ->
            val (newest, all) = session.events("test", "number", Handling.LATEST) to session.events("test", "number")
            repeat(100) { session.publishToViews("test", "number", it) }
            session.publishToViews("test", "number", 100)
            patiently("all") { all.first { it.decode<Int>() == 100 } }
            // When this event has arrived, the newest one has arrived, too.
            val after = session.events("test", "after", Handling.LATEST)
            session.publishToViews("test", "after", true)
            patiently("event after it") { after.first() }
            assertEquals(100, patiently("newest") { newest.first() }.decode<Int>())
        }
    }

    @Test
    fun `a star learns what it hears`() = withReflector { url ->
        join(room(url)).use { session ->
            val flow = session.events("*", "*")
            session.publishToViews("a", "b", 1)
            session.applied(session.post("heard"))
            val heard = patiently("events") { flow.take(2).toList() }.map { Triple(it.scope, it.event, it.model) }
            assertEquals(listOf(Triple("a", "b", null), Triple("history", "refresh", ModelId.ROOT)), heard)
        }
    }

    @Test
    fun `a flow is collected once and its subscription ends with the collection`() = withReflector { url ->
        join(room(url)).use { session ->
            val flow = session.events("test", "number")
            session.publishToViews("test", "number", 1)
            assertEquals("1", patiently("event") { flow.first() }.text)
            assertThrows(IllegalStateException::class.java) { runBlocking { flow.first() } }
            val rest = session.events("test", "number")
            session.publishToViews("test", "number", 2)
            session.publishJsonToViews("test", "number")
            val two = patiently("rest") { rest.take(2).toList() }
            assertEquals(listOf("test/number 2", "test/number null"), two.map { it.toString() })
            assertEquals(ErrorCode.WRONG_TYPE, failure { two[0].decode<Post>() }.code)
        }
    }

    @Test
    fun `an event that is published too fast waits for its turn`() = withReflector { url ->
        val large = "x".repeat(60_000)
        var refused: Throwable? = null
        join(room(url)) {
            // No event comes back before the app has built the view.
            refused = (1..1_000).firstNotNullOfOrNull { runCatching { session.post(large) }.exceptionOrNull() }
        }.use { session ->
            assertEquals(ErrorCode.TOO_FAST, (refused as TeatimeException).code)
            patiently("turn") { session.applied(session.awaitPublish("input", "newPost", postOf("patient"))) }
            assertTrue(session.lines.last().endsWith("patient"))
        }
    }

    @Test
    fun `calls before the join fail and waits end with the session`() = withReflector { _ ->
        Session.start(room("ws://127.0.0.1:1")).use { session ->
            assertEquals(ErrorCode.NOT_JOINED, failure { session.post("x") }.code)
            assertEquals(ErrorCode.NOT_JOINED, failure { session.lines }.code)
            assertEquals(ErrorCode.NOT_JOINED, failure { session.views }.code)
            assertEquals(ErrorCode.NOT_JOINED, failure { session.stateHash() }.code)
            val waiting = async { runCatching { session.awaitPublish("a", "b") } }
            session.untilState("attempt") { it is ConnectionState.Connecting && it.reason?.code == ErrorCode.UNREACHABLE }
            session.leave()
            val failure = patiently("end") { waiting.await() }.exceptionOrNull()
            assertEquals(ErrorCode.OVER, (failure as TeatimeException).code)
        }
    }
}
