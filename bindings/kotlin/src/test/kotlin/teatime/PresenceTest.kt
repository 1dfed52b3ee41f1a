package teatime

import kotlinx.coroutines.flow.first
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** What participants of the tests show. */
@Serializable
data class Pointer(val x: Int, val label: String)

class PresenceTest {
    @Test
    fun `what a participant shows the others see until it ends or leaves`() = withReflector { url ->
        for (password in listOf(null, "secret")) {
            val options = room(url, password)
            join(options).use { one ->
                join(options).use { other ->
                    val pointer = Pointer(7, "ü")
                    one.setPresence(pointer)
                    val shown = mapOf(one.viewId to pointer)
                    patiently("presence") { other.presenceUpdates<Pointer>().first { it == shown } }
                    assertEquals(shown, other.presences<Pointer>())
                    assertEquals(emptyMap<ViewId, Pointer>(), one.presences<Pointer>())
                    assertEquals(emptyMap<ViewId, List<Int>>(), other.presences<List<Int>>())
                    val large = failure { one.setPresence("a".repeat(1100)) }
                    assertEquals(ErrorCode.TOO_LARGE, large.code)
                    one.clearPresence()
                    patiently("end of the presence") { other.presenceUpdates<Pointer>().first { it.isEmpty() } }
                    one.setPresence(pointer)
                    patiently("presence again") { other.presenceUpdates<Pointer>().first { it.isNotEmpty() } }
                    one.leave()
                    patiently("exit") { other.presenceUpdates<Pointer>().first { it.isEmpty() } }
                    assertEquals(ErrorCode.OVER, failure { one.setPresence(pointer) }.code)
                }
            }
        }
    }
}
