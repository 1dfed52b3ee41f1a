package teatime.chat

import java.util.UUID
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test
import teatime.ConnectionState
import teatime.ErrorCode
import teatime.JoinLink
import teatime.Reflector
import teatime.TeatimeException
import teatime.ViewId

class ChatModelTest {
    private fun withRoom(test: suspend CoroutineScope.(Room) -> Unit) {
        Reflector.start("127.0.0.1:0").use { reflector ->
            runBlocking { test(Room(reflector.url, UUID.randomUUID().toString())) }
        }
    }

    /** Runs a model during [test]. */
    private suspend fun chat(room: Room, test: suspend (ChatModel) -> Unit) = coroutineScope {
        val model = ChatModel(room)
        val running = launch { model.run() }
        test(model)
        model.leave()
        patiently("end", model) { running.join() }
    }

    private suspend fun <T : Any> patiently(what: String, model: ChatModel, block: suspend () -> T): T =
        withTimeoutOrNull(120.seconds) { block() } ?: fail("no $what: ${model.state.value}")

    private suspend fun ChatModel.until(what: String, holds: ChatState.() -> Boolean): ChatState =
        patiently(what, this) { state.first { it.holds() } }

    private fun ChatState.texts() = lines.map { it.text.substringAfter(": ") }

    @Test
    fun `acceptance 27 a user who comes alone and has no line in the history resets the chat`() = withRoom { room ->
        chat(room) { model ->
            val state = model.until("reset") { lines.isNotEmpty() }
            assertEquals(listOf("chat reset for new participants"), state.texts())
            assertEquals(1, state.participants)
            model.say("mine")
            model.until("post") { texts().last() == "mine" }
        }
        // A later user must not see the posts of users who have left.
        chat(room) { model ->
            assertEquals(listOf("chat reset for new participants"), model.until("reset") { lines.size == 1 }.texts())
        }
    }

    @Test
    fun `acceptance 28 a user who is not alone does not reset the chat`() = withRoom { room ->
        chat(room) { first ->
            first.say("mine")
            first.until("post") { texts().lastOrNull() == "mine" }
            chat(room) { second ->
                assertEquals(2, second.until("view") { participants == 2 }.lines.size)
                second.say("and mine")
                val state = first.until("answer") { texts().last() == "and mine" }
                assertEquals(3, state.lines.size)
            }
            first.until("exit") { participants == 1 }
            assertEquals(3, first.state.value.lines.size)
        }
    }

    @Test
    fun `acceptance 26 only reset resets and every other line is a post`() = withRoom { room ->
        chat(room) { model ->
            for (post in listOf("/reset ", " /reset", "/Reset", "/resets", "")) model.say(post)
            val posts = model.until("posts") { lines.size == 6 }
            assertEquals(listOf("/reset ", " /reset", "/Reset", "/resets", ""), posts.texts().drop(1))
            model.say("/reset")
            assertEquals("chat reset at user request", model.until("reset") { lines.size == 1 }.texts().single())
        }
    }

    @Test
    fun `the state has the data of a screen`() = withRoom { room ->
        chat(room) { model ->
            val state = model.until("view") { connection == ConnectionState.Live && lines.isNotEmpty() }
            assertTrue(state.nickname.isNotEmpty())
            assertTrue(state.badge.startsWith("#"), state.badge)
            assertEquals(room, Room.of(JoinLink.parse(state.link)))
            model.settle()
        }
    }

    @Test
    fun `another password leads to another room with a hint`() = withRoom { room ->
        val secret = room.copy(password = "sesame")
        chat(secret) { owner ->
            owner.until("view") { participants == 1 }
            val intruder = ChatModel(room.copy(password = "wrong"))
            val updates = ArrayList<ChatUpdate>()
            coroutineScope {
                val hint = CompletableDeferred<ChatUpdate.OtherPassword>()
                val running = launch {
                    intruder.run {
                        updates += it
                        if (it is ChatUpdate.OtherPassword) hint.complete(it)
                    }
                }
                val message = patiently("hint", intruder) { hint.await() }.notice.message
                assertTrue("check the password" in message, message)
                running.cancelAndJoin()
            }
            assertEquals(1, owner.state.value.participants)
        }
        val nowhere = runCatching { ChatModel(Room("http://x", "room")).run() }.exceptionOrNull()
        assertEquals(ErrorCode.BAD_ADDRESS, (nowhere as TeatimeException).code)
    }

    @Test
    fun `after a restart of the reflector the room starts empty`() {
        val first = Reflector.start("127.0.0.1:0")
        runBlocking {
            chat(Room(first.url, "room")) { model ->
                model.say("to the first")
                model.until("post") { texts().lastOrNull() == "to the first" }
                first.close()
                model.until("loss") { connection is ConnectionState.Reconnecting }
                Reflector.start(model.state.value.link.substringAfter("//").substringBefore("/")).use {
                    model.until("return") { connection == ConnectionState.Live && "to the first" !in texts() }
                    model.say("to the second")
                    model.until("post") { texts() == listOf("chat reset for new participants", "to the second") }
                    model.leave()
                }
            }
        }
    }

    @Test
    fun `an app that returns from the background has missed nothing`() = withRoom { room ->
        chat(room) { other ->
            chat(room) { model ->
                other.until("entry") { participants == 2 }
                model.onBackground()
                delay(2.1.seconds)
                other.say("meanwhile")
                model.onForeground()
                model.say("here again")
                for (one in listOf(model, other)) one.until("both") { texts().containsAll(listOf("meanwhile", "here again")) }
                assertEquals(2, other.state.value.participants)
            }
        }
    }

    @Test
    fun `each line has its own number, and a change adds one`() {
        fun history(last: Long, vararg texts: String) = History(texts.map { Line(null, it) }, last)
        fun History.after(shown: History) = unseen(shown).map { it.html }
        val shown = history(3, "x", "x", "x")
        assertEquals(emptyList<String>(), shown.after(shown))
        assertEquals(listOf("x", "x"), history(5, "x", "x", "x").after(shown))
        assertEquals(listOf("x", "x", "x"), history(9, "x", "x", "x").after(shown))
        assertEquals(listOf("reset"), history(4, "reset").after(shown))
        assertEquals(listOf("x"), history(1, "x").after(shown))
        assertEquals(4, history(4, "reset", "y", "y", "y").after(shown).size)
        assertEquals(history(4, "x", "x", "y"), shown + Change(1, Line(null, "y")))
        assertEquals(history(4, "reset"), shown + Change(3, Line(null, "reset")))
    }

    @Test
    fun `only valid numbers of seconds are accepted`() {
        for (bad in listOf("", "-1", "+1", "1.5", "x", "4294967296", "٣")) assertNull(Room.seconds(bad), bad)
        assertEquals(4_294_967_295, Room.seconds("4294967295"))
        assertNull(Room.of(JoinLink("ws://h:1", "another.app", "room")))
        val room = Room("ws://h:1", "room", inactivitySeconds = 60, announces = true)
        assertEquals(room, Room.of(room.link))
    }
}
