package teatime

import com.sun.jna.Memory
import com.sun.jna.Pointer
import com.sun.jna.Structure
import kotlinx.coroutines.flow.first
import kotlinx.serialization.json.JsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test

class ChattingTest {
    @Test
    fun `acceptance 3 every post reaches all and a late joiner sees the history at once`() = withReflector { url ->
        val options = room(url, "p w")
        join(options).use { one -> join(options).use { two -> join(options).use { three ->
            val all = listOf(one, two, three)
            all.forEachIndexed { number, session -> session.post("from $number") }
            for (session in all) {
                session.until("posts") { lines.count { "from" in it } == 3 }
            }
            var seen = emptyList<String>()
            join(options) { seen = session.lines }.use { assertEquals(one.lines, seen) }
        } } }
    }

    @Test
    fun `acceptance 16 nicknames come from a list and everyone sees the same`() = withReflector { url ->
        val options = room(url)
        val sessions = List(5) { join(options) }
        val ids = sessions.map { it.viewId }
        assertEquals(5, ids.toSet().size)
        sessions.forEach { it.until("all") { participants == 5 } }
        val names = sessions.map { session -> ids.map { session.nickname(it) ?: fail("$it has no name") } }
        assertEquals(1, names.toSet().size, "$names")
        assertTrue(names[0].all { it.matches(Regex("[A-Z][a-z]+")) }, "$names")
        sessions.forEach { it.close() }
    }

    @Test
    fun `acceptance 19 a post changes nothing before it has come back and all have one order`() = withReflector { url ->
        val options = room(url)
        var frozen: Pair<List<String>, List<String>>? = null
        var receipt: Receipt? = null
        join(options) {
            val before = session.lines
            receipt = session.post("not yet")
            // By now the event is back, and waits for the view.
            Thread.sleep(100)
            frozen = before to session.lines
        }.use { one -> join(options).use { two ->
            assertEquals(frozen?.first, frozen?.second ?: fail("the view was not built"))
            one.applied(receipt ?: fail("the post was not sent"))
            assertTrue(one.lines.last().endsWith("not yet"), "${one.lines}")
            repeat(20) { one.post("one $it"); two.post("two $it") }
            for (session in listOf(one, two)) session.until("posts") { lines.size == one.lines.size && lines.size == 41 }
            assertEquals(one.history, two.history)
        } }
    }

    @Test
    fun `acceptance 21 text that looks like markup is shown literally`() = withReflector { url ->
        join(room(url)).use { session ->
            for (text in listOf("<img onerror=\"x\">", "a<b<c&&d", "&lt;", "it's > \"that\"", "</b><b>")) {
                session.applied(session.post(text))
                val html = session.history.last().html.substringAfter(":</b> ")
                assertTrue(html.none { it in "<>\"'" }, html)
                assertEquals(text, session.lines.last().substringAfter(": "))
            }
        }
    }

    @Test
    fun `unusual texts arrive unchanged`() = withReflector { url ->
        join(room(url)).use { session ->
            val odd = listOf("", " ", "\u0000", "a\u0000b", "👩‍👩‍👧‍👦 é e\u0301", "\u202eolleh", "\r\n\t", "\ufeff",
                "\\u0041 \\ \"", "x".repeat(10_000), "🫖".repeat(3_000))
            for (text in odd) {
                session.applied(session.post(text))
                assertEquals(text, session.lines.last().substringAfter(": "))
            }
            assertEquals(ErrorCode.TOO_LARGE, failure { session.post("x".repeat(1_000_000)) }.code)
            assertEquals(ErrorCode.INVALID_UTF8, failure { session.post("half \ud83e") }.code)
            assertEquals(ErrorCode.ENCODING, failure { session.publish("a", "b", Double.NaN) }.code)
            assertEquals(odd.size, session.lines.size)
        }
    }

    @Test
    fun `acceptance 41 a view knows its id and can be addressed by it`() = withReflector { url ->
        val options = room(url)
        join(options).use { one -> join(options).use { two ->
            val mine = one.events(one.viewId.hex, "hello")
            val others = one.events(two.viewId.hex, "hello")
            one.publishToViews(two.viewId.hex, "hello", "not for me")
            one.publishToViews(one.viewId.hex, "hello", "for me")
            assertEquals("for me", patiently("event") { mine.first() }.decode<String>())
            assertEquals("not for me", patiently("event") { others.first() }.decode<String>())
            assertTrue(one.viewId != two.viewId && one.viewId in two.views)
            // It may have yet to hear of the other one's entry.
            one.until("entry") { two.viewId in views }
            assertEquals(one.nickname(two.viewId), two.nickname(two.viewId))
        } }
    }

    @Test
    fun `acceptance 43 the state hash is the same for veteran and joiner`() = withReflector { url ->
        val options = room(url, "sesame")
        join(options).use { veteran ->
            repeat(50) { veteran.post("post $it") }
            veteran.until("posts") { lines.size == 50 }
            join(options).use { joiner ->
                veteran.until("both") { participants == 2 }
                val notices = listOf(veteran.notices(), joiner.notices())
                joiner.requestVote()
                val votes = notices.map { flow ->
                    var state: Notice.State? = null
                    val verdict = patiently("verdict", { state }) {
                        flow.first { if (it is Notice.State) state = it; it is Notice.Verdict } as Notice.Verdict
                    }
                    assertEquals(2 to 2, verdict.agreed to verdict.of)
                    assertEquals(verdict.hash, state?.hash)
                    assertEquals(verdict.seq, state?.seq)
                    state ?: fail("no state before the verdict")
                }
                assertEquals(votes[0], votes[1])
                assertEquals(64, votes[0].hash.length)
            }
        }
    }

    @Test
    fun `an app is adopted by its exported address`() = withReflector { url ->
        // Does the work of an app's exported function, by the C functions of the library.
        val library = NativeCode.load()
        val memory = Memory(64)
        memory.setString(16, "teatime.chat")
        val handle = Memory(8)
        val id = TeaStr().apply { text = memory.share(16); size = 12 }
        assertEquals(0, library.getFunction("tea_app_new").invokeInt(arrayOf(id, 1, handle)))
        assertEquals(0, library.getFunction("tea_app_add_chat").invokeInt(arrayOf(handle.getPointer(0))))
        val address = Pointer.nativeValue(handle.getPointer(0))
        val app = App.adopt(address)
        assertEquals("teatime.chat", app.id)
        assertEquals(ErrorCode.WRONG_HANDLE, failure { App.adopt(address) }.code)
        val options = room(url)
        join(options).use { one ->
            join(options.copy(app = app)).use { two -> assertEquals(one.id, two.id) }
            val other = options.copy(app = app, name = "other")
            assertEquals(JsonPrimitive(1), join(other).use { it.readJson("participants") })
        }
        assertEquals(ErrorCode.NOT_FOUND, failure { App.exported("no_such_function") }.code)
    }

    @Structure.FieldOrder("text", "size")
    class TeaStr : Structure(), Structure.ByValue {
        @JvmField var text: Pointer? = null
        @JvmField var size: Long = 0
    }
}
