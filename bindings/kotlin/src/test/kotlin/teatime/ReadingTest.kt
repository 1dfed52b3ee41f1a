package teatime

import kotlin.time.Duration
import kotlinx.coroutines.flow.first
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test

class ReadingTest {
    @Test
    fun `a view reads the root model and learns which models are not there`() = withReflector { url ->
        join(room(url)).use { session ->
            assertEquals(1, session.read<Int>("participants", model = ModelId.ROOT))
            assertEquals(JsonArray(emptyList()), session.readJson("history"))
            assertNull(session.read<String?>("nickname", JsonPrimitive("0".repeat(32))))
            assertNull(session.wellKnown("no such name"))
            val noModel = failure { session.read<Int>("participants", model = ModelId(77uL)) }
            assertEquals(ErrorCode.UNKNOWN_MODEL, noModel.code)
            assertEquals(ErrorCode.UNKNOWN_QUERY, failure { session.readJson("nothing") }.code)
            assertEquals(ErrorCode.QUERY_ARGUMENT, failure { session.readJson("nickname", JsonPrimitive(7)) }.code)
            assertEquals(ErrorCode.WRONG_TYPE, failure { session.read<Post>("participants") }.code)
        }
    }

    @Test
    fun `acceptance 38 reading never changes the state`() = withReflector { url ->
        var hashes: Pair<String, String>? = null
        join(room(url)) {
            val before = session.stateHash()
            repeat(200) {
                session.run { history; participants; nickname(viewId); views; random(); statistics(); wellKnown("x") }
            }
            hashes = before to session.stateHash()
        }.use { session ->
            val (before, after) = hashes ?: fail("the view was not built")
            assertEquals(before, after)
            session.applied(session.post("this does"))
            assertNotEquals(before, session.stateHash())
        }
    }

    @Test
    fun `acceptance 40 a view cannot act as a model`() = withReflector { url ->
        val options = room(url)
        join(options).use { one -> join(options).use { two ->
            one.until("both") { participants == 2 }
            val notices = two.notices()
            // Only the session itself can announce joins and exits.
            for (event in listOf("view-join", "view-exit")) {
                one.applied(one.publish(one.id, event, two.viewId))
                assertEquals(2, one.participants)
            }
            val fault = patiently("fault") { notices.first { it is Notice.Fault } } as Notice.Fault
            assertEquals(one.viewId, fault.sender)
            // A view cannot publish an event to views in the name of a model.
            val refreshes = two.events("history", "refresh")
            one.applied(one.publishJson("history", "refresh"))
            one.post("x")
            patiently("refresh") { refreshes.first() }
            assertTrue(two.lines.last().endsWith("x"), "${two.lines}")
        } }
    }

    @Test
    fun `time advances and statistics have values`() = withReflector { url ->
        join(room(url)).use { session ->
            session.applied(session.post("x"))
            assertTrue(session.now >= Duration.ZERO && session.externalNow >= session.now)
            assertTrue(session.extrapolatedNow >= session.now)
            val statistics = session.statistics()
            assertEquals(1, statistics.models)
            assertEquals(Duration.ZERO, statistics.reconnecting)
            assertTrue(statistics.seq > 0u && statistics.roundTripP99 >= statistics.roundTripMedian, "$statistics")
            assertNotEquals(session.random(), session.random())
            assertEquals(64, session.id.length)
        }
    }
}
