package teatime

import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test

class JoiningTest {
    @Test
    fun `acceptance 35 the view is built after its own join has been processed`() = withReflector { url ->
        var seen: Triple<List<ViewId>, Int, String?>? = null
        join(room(url)) { seen = session.run { Triple(views, participants, nickname(viewId)) } }.use { session ->
            val (views, participants, nickname) = seen ?: fail("the view was not built before join returned")
            assertEquals(listOf(session.viewId), views)
            assertEquals(1, participants)
            assertTrue(!nickname.isNullOrEmpty(), nickname)
        }
    }

    @Test
    fun `acceptance 36 a view gets no events of its own join`() = withReflector { url ->
        val options = room(url)
        var opened: Flow<Event>? = null
        join(options) { opened = events("viewInfo", "refresh") }.use { first ->
            val flow = opened ?: fail("the view was not built")
            first.applied(first.post("the model has gone on"))
            join(options).use { first.until("second") { participants == 2 } }
            first.until("exit of the second") { participants == 1 }
            first.close()
            // One event for the join of the second participant, one for its exit.
            assertEquals(2, patiently("end") { flow.toList() }.size)
        }
    }

    @Test
    fun `the model stands still while the view is built and the view misses nothing`() = withReflector { url ->
        val options = room(url)
        join(options).use { talker ->
            var before = emptyList<String>()
            var flow: Flow<Event>? = null
            var moved = true
            join(options) {
                val now = session.now
                before = session.lines
                repeat(20) { talker.post("while it is built $it") }
                flow = events("history", "refresh")
                // The others go on meanwhile, and their events wait afterwards.
                Thread.sleep(100)
                moved = session.now != now || session.lines != before
            }.use { session ->
                assertFalse(moved)
                val changes = flow ?: fail("the view was not built")
                patiently("posts", { session.lines }) { changes.first { session.lines.size == before.size + 20 } }
            }
        }
    }

    @Test
    fun `another password is another session with a hint`() = withReflector { url ->
        val options = room(url, "sesame")
        join(options).use { owner ->
            for (password in listOf("Sesame", null)) {
                val other = Session.start(options.copy(password = password))
                val notices = other.notices()
                val hint = patiently("hint") { notices.first { it is Notice.OtherPassword } } as Notice.OtherPassword
                assertTrue("check the password" in hint.message, hint.message)
                assertTrue(other.id != owner.id)
                other.close()
            }
        }
    }

    @Test
    fun `every call of a failed session has the reason`() = withReflector { url ->
        Wire(url).use { wire ->
            val refused = join(room(wire.url, "sesame"))
            wire.refuse()
            val state = refused.untilState("refusal") { it is ConnectionState.Failed } as ConnectionState.Failed
            assertEquals(ErrorCode.VERSION, state.reason.code)
            patiently("end") { refused.awaitEnd() }
            val failure = failure { refused.post("x") }
            assertEquals(ErrorCode.VERSION, failure.code)
            assertTrue(failure is TeatimeException.Disconnected)
            assertEquals(ErrorCode.VERSION, failure { refused.events("chat", "*") }.code)
        }
    }

    @Test
    fun `an app can watch the states of a join`() = withReflector { url ->
        val session = Session.start(room(url))
        assertNotEquals("", session.badge)
        val notices = session.notices()
        patiently("view") { session.ready() }
        assertEquals(ConnectionState.Live, session.connection.value)
        assertEquals(1f, session.progress.value)
        session.leave()
        val all = patiently("end") { notices.toList() }
        val states = all.filterIsInstance<Notice.Connection>().map { it.state }
        val path = listOf(ConnectionState.CatchingUp, ConnectionState.Live, ConnectionState.Left)
        assertEquals(path, states.filter { it !is ConnectionState.Connecting }, "$all")
        assertEquals(1, all.count { it == Notice.ViewReady }, "$all")
    }

    @Test
    fun `leaving twice is leaving once and everything ends`() = withReflector { url ->
        val options = room(url)
        join(options).use { other ->
            val session = join(options)
            val (events, notices) = session.events("*", "*") to session.notices()
            other.until("entry") { participants == 2 }
            session.leave()
            session.leave()
            session.close()
            other.until("exit") { participants == 1 }
            patiently("end") { session.awaitEnd() }
            assertEquals(ConnectionState.Left, session.connection.value)
            patiently("end of flows") { events.toList() + notices.toList() }
            for (call in listOf<() -> Any?>({ session.lines }, { session.post("x") }, { session.now },
                { session.events("a", "b") }, { session.requestVote() }, { session.statistics() })) {
                assertEquals(ErrorCode.OVER, failure(call).code)
            }
            assertEquals(ErrorCode.OVER, failure { patiently("answer") { session.applied(Receipt(99uL)) } }.code)
            session.onBackground()
            session.onForeground()
        }
    }

    @Test
    fun `cancelling the joining caller leaves`() = withReflector { url ->
        val options = room(url)
        join(options).use { other ->
            // The worst moment: the view is built, and join is about to return.
            val built = CompletableDeferred<Session>()
            val joining = launch(Dispatchers.Default) {
                Session.join(options) { built.complete(session); Thread.sleep(50) }
                awaitCancellation()
            }
            val session = patiently("view") { built.await() }
            joining.cancelAndJoin()
            // A caller that got the session must leave it. Otherwise join has left it.
            session.leave()
            patiently("end") { session.awaitEnd() }
            other.until("exit") { participants == 1 }
        }
        // Nothing listens there.
        val unreachable = Session.start(room("ws://127.0.0.1:1"))
        unreachable.untilState("failed attempt") { it is ConnectionState.Connecting && it.reason != null }
        val waiting = async { unreachable.ready() }
        waiting.cancelAndJoin()
        unreachable.close()
        patiently("end") { unreachable.awaitEnd() }
        assertNull(withTimeoutOrNull(300.milliseconds) { Session.join(room("ws://127.0.0.1:1")) })
    }

    @Test
    fun `the others see a cancelled join exit`() = withReflector { url ->
        val options = room(url)
        join(options).use { other ->
            val built = CompletableDeferred<Unit>()
            val go = CompletableDeferred<Unit>()
            val joining = launch(Dispatchers.Default) {
                Session.join(options) {
                    built.complete(Unit)
                    runBlocking { go.await() }
                }
            }
            patiently("view") { built.await() }
            other.until("entry") { participants == 2 }
            joining.cancelAndJoin()
            go.complete(Unit)
            other.until("exit") { participants == 1 }
        }
    }

    @Test
    fun `cancelling the scope leaves`() = withReflector { url ->
        val options = room(url)
        join(options).use { other ->
            val scope = CoroutineScope(Dispatchers.Default)
            val session = join(options, scope)
            val collected = scope.async { session.events("*", "*").toList() }
            other.until("entry") { participants == 2 }
            scope.cancel()
            other.until("exit") { participants == 1 }
            patiently("end") { session.awaitEnd() }
            collected.join()
            assertEquals(ConnectionState.Left, session.connection.value)
            // In a scope that has already ended, a session leaves at once.
            val late = Session.start(options, scope)
            assertEquals(ErrorCode.OVER, failure { patiently("end") { late.ready() } }.code)
        }
    }

    @Test
    fun `a scope waits for its session and the view ends with it`() = withReflector { url ->
        val ended = CompletableDeferred<Throwable?>()
        patiently("end of the scope") {
            coroutineScope {
                val session = Session.join(room(url), this) {
                    launch { awaitCancellation() }.invokeOnCompletion { ended.complete(it) }
                }
                session.applied(session.post("x"))
                session.leave()
            }
        }
        assertTrue(patiently("end of the view") { runCatching { ended.await() } }.getOrNull() is CancellationException)
    }

    @Test
    fun `if the view cannot be built the join fails and leaves`() = withReflector { url ->
        val options = room(url)
        join(options).use { other ->
            val bug = ArithmeticException("a bug of the app")
            val failure = runCatching { patiently("view") { Session.join(options) { throw bug } } }.exceptionOrNull()
            assertSame(bug, generateSequence(failure) { it.cause }.last())
            other.until("exit") { participants == 1 }
        }
    }

    @Test
    fun `bad options are refused with their codes`() = withReflector { url ->
        val good = room(url)
        for ((bad, code) in listOf(
            good.copy(name = "") to ErrorCode.BAD_NAME,
            good.copy(name = "x".repeat(129)) to ErrorCode.BAD_NAME,
            good.copy(name = "half \ud83c") to ErrorCode.INVALID_UTF8,
            good.copy(password = "") to ErrorCode.BAD_PASSWORD,
            good.copy(reflector = "http://a") to ErrorCode.BAD_ADDRESS,
            good.copy(reflector = "") to ErrorCode.BAD_ADDRESS,
            good.copy(options = toJson(3)) to ErrorCode.BAD_OPTIONS,
            good.copy(ticksPerSecond = 0) to ErrorCode.BAD_TICKS,
            good.copy(ticksPerSecond = 65_536 + 20) to ErrorCode.BAD_TICKS,
            good.copy(ticksPerSecond = -1) to ErrorCode.BAD_TICKS,
            good.copy(trustedCertificates = "x") to ErrorCode.BAD_CERTIFICATES,
            good.copy(agent = "x".repeat(10_000)) to ErrorCode.BAD_AGENT,
        )) {
            assertEquals(code, failure { join(bad) }.code, "$bad")
        }
        assertFalse("$good, ${good.copy(password = "sesame")}".contains("sesame"))
    }
}
