package teatime.chat

import java.io.File
import java.nio.file.Path
import java.util.UUID
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import teatime.Reflector

class TerminalTest {
    private fun withReflector(test: (url: String) -> Unit) = Reflector.start("127.0.0.1:0").use { test(it.url) }

    private fun json(url: String, vararg more: String) =
        Program("--json", "--reflector", url, *more).apply { await("view_info") }

    @Test
    fun `json output has the same fields as the other clients`() = withReflector { url ->
        json(url, "--name", "tea / room", "--password", "p w", "--inactivity", "60").use { chat ->
            val joined = Json.parseToJsonElement(chat.seen.first()).jsonObject
            assertEquals(setOf("event", "session_id", "view_id", "nickname", "participants", "badge", "link"), joined.keys)
            chat.say("""{"do":"post","text":"a <b> \u0000 🫖"}""")
            val history = chat.awaitLine("a &lt;b&gt; \u0000 🫖")
            assertEquals(2, history.getValue("items").jsonArray.size)
            // With the link only.
            Program("--json", joined.text("link").orEmpty()).use { second ->
                assertEquals(joined.text("session_id"), second.await("joined").text("session_id"))
                chat.awaitJson("entry") { it.text("participants") == "2" }
                second.say("""{"do":"vote"}""")
                for (one in listOf(chat, second)) {
                    val state = one.await("state")
                    val verdict = one.await("verdict")
                    assertEquals(listOf("2", "2", state.text("hash")), listOf("agreed", "of", "hash").map { verdict.text(it) })
                }
                second.say("""{"do":"leave"}""")
                assertEquals(0, second.exitCode())
                assertEquals("""{"event":"connection","state":"left"}""", second.seen.last())
            }
            chat.awaitJson("exit") { it.text("participants") == "1" }
            chat.say("""{"do":"reset"}""")
            chat.awaitLine("at user request</i>")
            chat.endInput()
            assertEquals(0, chat.exitCode())
        }
    }

    @Test
    fun `a bad line gives an error and the program goes on`() = withReflector { url ->
        json(url).use { chat ->
            for (bad in listOf("nonsense", "{}", """{"do":"dance"}""", "[1]", """{"do":"post"}""", "", "null", "\"x\"",
                """{"do":"post","text":3}""", """{"do":"post","text":"\ud83e"}""", """{"do":"reset","why":1}""",
                """{"do":["post"]}""", """{"do":"post","text":{}}""", "[".repeat(100_000))) {
                chat.say(bad)
                assertEquals("BAD_COMMAND", chat.await("error").text("code"), bad)
            }
            chat.say("""{"do":"post","text":"${"x".repeat(1024 * 1024)}"}""")
            assertEquals("TOO_LARGE", chat.await("error").text("code"))
            chat.say("""{"do":"post","text":"still here"}""")
            chat.awaitLine("still here")
        }
    }

    @Test
    fun `acceptance 26 in plain text only reset resets and every line arrives`() = withReflector { url ->
        json(url).use { watcher ->
            Program("--plain", "--reflector=$url").use { chat ->
                (0 until 90).forEach { chat.say("line $it") }
                chat.say("/reset")
                chat.say("/reset ")
                chat.say("last\r")
                chat.endInput()
                assertEquals(0, chat.exitCode(), chat.errors())
                assertTrue(chat.seen.last().endsWith(": last"), "${chat.seen}")
            }
            val history = watcher.awaitLine("last")
            assertEquals(3, history.getValue("items").jsonArray.size)
        }
    }

    @Test
    fun `another password gives a hint and wrong certificates end the program`(@TempDir folder: Path) = withReflector { url ->
        json(url, "--password", "sesame").use {
            Program("--json", "--reflector", url, "--password", "wrong").use { intruder ->
                assertEquals("OTHER_PASSWORD", intruder.await("hint").text("code"))
                intruder.endInput()
                assertEquals(0, intruder.exitCode(), intruder.errors())
            }
        }
        val file = folder.resolve("ca.pem").toFile().apply { writeText("none") }
        assertUsage("--reflector", url, "--ca", file.path)
        assertUsage("--reflector", url, "--ca", File(folder.toFile(), "missing").path)
    }

    @Test
    fun `an invalid command line prints the usage`() {
        assertUsage("--nonsense")
        assertUsage("--reflector", "http://x")
        assertUsage("--reflector", "ws://127.0.0.1:1", "--name", "")
        for (wrong in listOf("--json --plain", "--name", "--inactivity x", "--inactivity=-1", "no-link", "-x",
            "teatime://h:1/another.app/room", "teatime://h:1/teatime.chat/a teatime://h:1/teatime.chat/b")) {
            assertThrows(UsageError::class.java, { Arguments.parse(wrong.split(" ")) }, wrong)
        }
    }

    @Test
    fun `flags override the link`() {
        val link = Room("ws://h:1", "room", "secret", 60).link.toString()
        assertEquals(Room("ws://h:1", "room", "secret", 60), Arguments.parse(listOf(link)).run { room(reflector.orEmpty()) })
        val flags = listOf("--name=other", "--password", "p w", link, "--inactivity", "7", "--reflector", "ws://i:2")
        assertEquals(Room("ws://i:2", "other", "p w", 7), Arguments.parse(flags).run { room(reflector.orEmpty()) })
        assertTrue(Arguments.parse(listOf("--announce")).room("ws://j:3").announces)
        assertEquals(Room("ws://j:3", "lobby"), Arguments.parse(emptyList()).room("ws://j:3"))
    }

    private fun assertUsage(vararg arguments: String) = Program(*arguments).use { program ->
        program.endInput()
        assertEquals(2, program.exitCode(), arguments.joinToString(" "))
        assertTrue("chat" in program.errors())
    }

    @Test
    fun `the program reconnects to a restarted reflector and reports it`() {
        val first = Reflector.start("127.0.0.1:0")
        val address = first.url.removePrefix("ws://")
        json(first.url, "--name", UUID.randomUUID().toString()).use { chat ->
            first.close()
            chat.awaitJson("loss") { it.text("state") == "reconnecting" }
            Reflector.start(address).use {
                chat.await("joined")
                chat.say("""{"do":"post","text":"back"}""")
                chat.awaitLine("back")
                val states = chat.seen.filter { "\"connection\"" in it }
                assertEquals(listOf("reconnecting", "live"), states.map { it.substringAfter("state\":\"").substringBefore('"') })
            }
        }
    }

    @Test
    fun `without a reflector the program reports it once and a signal ends it`() {
        for ((signal, inBackground) in listOf("INT" to false, "INT" to true, "TERM" to false)) {
            Program("--json", "--reflector", "127.0.0.1:1", inBackground = inBackground).use { chat ->
                assertEquals("UNREACHABLE", chat.await("error").text("code"))
                chat.signal(signal)
                assertEquals(0, chat.exitCode())
                assertEquals(listOf("error", "connection"), chat.seen.map { it.substringAfter("event\":\"").substringBefore('"') })
            }
        }
    }

    @Test
    fun `the program ends quietly when the reader of its output is gone`() = withReflector { url ->
        json(url).use { chat ->
            chat.closeOutput()
            // The thread that is blocked in a read takes the first line after the close. Only a later write fails, and
            // then the program may end before this has sent all posts.
            repeat(10) { runCatching { chat.say("""{"do":"post","text":"x"}""") } }
            assertEquals(1, chat.exitCode())
            assertEquals("", chat.errors())
        }
    }
}
