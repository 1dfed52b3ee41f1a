package teatime

import java.net.URI
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class OutageTest {
    @Test
    fun `acceptance 12 a short outage loses nothing and others see no exit`() = withReflector { url ->
        val options = room(url)
        Wire(url).use { wire -> join(options).use { other ->
            var built = 0
            join(options.copy(reflector = wire.url)) { built++ }.use { phone ->
                other.until("entry") { participants == 2 }
                val seen = other.events("viewInfo", "refresh")
                val notices = phone.notices()
                wire.cut()
                val broken = phone.untilState("loss") { it is ConnectionState.Reconnecting } as ConnectionState.Reconnecting
                assertNotNull(broken.reason)
                phone.post("said in the dark")
                other.post("said meanwhile")
                wire.mend()
                phone.untilState("line") { it == ConnectionState.Live }
                for (session in listOf(phone, other)) {
                    session.until("both posts") { lines.count { "said" in it } == 2 }
                }
                phone.leave()
                val all = patiently("end") { notices.toList() }
                // The model is lost only by leaving.
                assertEquals(listOf(Notice.ViewReady, Notice.ViewLost), all.filter { it in LIFE }, "$all")
                other.until("exit") { participants == 1 }
                other.leave()
                // Only the exit at the end.
                assertEquals(1, patiently("end") { seen.toList() }.size)
                assertEquals(1, built)
            }
        } }
    }

    @Test
    fun `acceptance 12 a long outage is an exit and a join of the same id`() = withReflector { url ->
        val options = room(url)
        Wire(url).use { wire -> join(options).use { other ->
            join(options.copy(reflector = wire.url)).use { phone ->
                val id = phone.viewId
                other.until("entry") { views.contains(id) }
                wire.cut()
                phone.untilState("loss") { it is ConnectionState.Reconnecting }
                other.until("exit") { !views.contains(id) }
                wire.mend()
                other.until("return") { views.contains(id) }
                assertEquals(id, phone.viewId)
                phone.untilState("line") { it == ConnectionState.Live }
                phone.until("both") { participants == 2 }
            }
        } }
    }

    @Test
    fun `the session reports a lost reflector and finds a new one at its address`() {
        val first = Reflector.start("127.0.0.1:0")
        val address = URI(first.url).run { "$host:$port" }
        runBlocking {
            val views = ArrayList<Pair<View, Flow<Event>>>()
            join(room(first.url)) { views += this to events("history", "refresh") }.use { session ->
                val notices = session.notices()
                session.applied(session.post("to the first"))
                first.close()
                first.close()
                session.untilState("loss") { it is ConnectionState.Reconnecting && it.reason != null }
                Reflector.start(address).use {
                    // A reflector in memory loses all sessions in a restart, so there is a new model and a new view.
                    session.untilState("line") { it == ConnectionState.Live }
                    val order = ArrayList<Notice>()
                    patiently("new view", { order }) {
                        notices.first { notice -> order += notice; order.count { it == Notice.ViewReady } == 2 }
                    }
                    assertTrue(order.indexOf(Notice.ViewLost) in 0 until order.lastIndexOf(Notice.ViewReady), "$order")
                    assertEquals(2, views.size)
                    assertEquals(emptyList<String>(), session.lines.filter { "first" in it })
                    session.applied(session.post("to the second"))
                    patiently("event of the new view") { views[1].second.first() }
                    // The flow of the old view has its one event, and the end.
                    assertEquals(1, patiently("end of the old view") { views[0].second.toList() }.size)
                }
            }
        }
    }

    @Test
    fun `a refused call during an outage fails the view but the end of the session does not`() = withReflector { url ->
        for (handled in listOf(true, false)) Wire(url).use { wire ->
            val broken = CompletableDeferred<Unit>()
            val failures = CompletableDeferred<Throwable>()
            val scope = CoroutineScope(SupervisorJob() + CoroutineExceptionHandler { _, failure -> failures.complete(failure) })
            val session = join(room(wire.url), scope) {
                launch {
                    broken.await()
                    // The model and the view stay during the outage.
                    try {
                        session.requestVote()
                    } catch (early: TeatimeException) {
                        if (!handled) throw early
                    }
                    // Fails when the session is over or has lost its model.
                    while (true) {
                        session.participants
                        yield()
                    }
                }
            }
            wire.cut()
            session.untilState("loss") { it is ConnectionState.Reconnecting }
            broken.complete(Unit)
            if (handled) session.leave()
            patiently("end") { session.awaitEnd() }
            if (handled) {
                assertFalse(failures.isCompleted)
            } else {
                val failure = patiently("failure") { failures.await() } as TeatimeException
                assertEquals(ErrorCode.NOT_JOINED, failure.code)
            }
        }
    }

    @Test
    fun `a view that throws its session's failure does not fail its scope`() {
        val first = Reflector.start("127.0.0.1:0")
        runBlocking {
            Wire(first.url).use { wire ->
                val failures = CompletableDeferred<Throwable>()
                val thrown = CompletableDeferred<TeatimeException>()
                val scope =
                    CoroutineScope(SupervisorJob() + CoroutineExceptionHandler { _, failure -> failures.complete(failure) })
                val options = room(wire.url, "sesame")
                val session = join(options, scope) {
                    launch {
                        // Never suspends, so only a failure of a call ends it. The model may be lost before that.
                        while (true) {
                            try {
                                session.participants
                            } catch (failure: TeatimeException) {
                                if (failure.code == ErrorCode.NOT_JOINED) continue
                                thrown.complete(failure)
                                throw failure
                            }
                        }
                    }
                }
                wire.refuse()
                patiently("end") { session.awaitEnd() }
                assertEquals(ErrorCode.VERSION, patiently("reason") { thrown.await() }.code)
                patiently("end of all coroutines") { scope.coroutineContext.job.children.forEach { it.join() } }
                assertFalse(failures.isCompleted)
            }
            first.close()
        }
    }

    @Test
    fun `background and foreground lose nothing and the others see no exit`() = withReflector { url ->
        val options = room(url)
        join(options).use { other -> join(options).use { phone ->
            other.until("entry") { participants == 2 }
            val seen = other.events("viewInfo", "refresh")
            val notices = phone.notices()
            // For a moment only: nothing happens.
            phone.onBackground()
            phone.onForeground()
            phone.applied(phone.post("before"))
            assertEquals(ConnectionState.Live, phone.connection.value)
            phone.onBackground()
            delay(2.1.seconds)
            phone.onForeground()
            phone.post("after")
            other.post("meanwhile")
            for (session in listOf(phone, other)) session.until("posts") { lines.size == 3 }
            phone.untilState("line") { it == ConnectionState.Live }
            phone.leave()
            val all = patiently("end") { notices.toList() }
            val states = all.filterIsInstance<Notice.Connection>().map { it.state }
            assertEquals(1, states.count { it is ConnectionState.Reconnecting }, "$all")
            assertEquals(listOf(Notice.ViewReady, Notice.ViewLost), all.filter { it in LIFE }, "$all")
            other.until("exit") { participants == 1 }
            other.leave()
            assertEquals(1, patiently("end") { seen.toList() }.size)
        } }
    }

    @Test
    fun `in the background a participant leaves after the time of its choice and comes back`() = withReflector { url ->
        val options = room(url)
        join(options).use { other -> join(options).use { phone ->
            other.until("entry") { participants == 2 }
            phone.onBackground(leaveAfter = 300.milliseconds)
            // Long before the reflector would notice silence.
            other.until("exit") { participants == 1 }
            phone.onForeground()
            other.until("return") { participants == 2 }
            phone.untilState("line") { it == ConnectionState.Live }
        } }
    }

    @Test
    fun `only a long absence makes a new connection`() {
        var now = 1_000_000L
        val absence = Absence { now }
        assertFalse(absence.end())
        for ((away, reconnects) in listOf(0L to false, 2_000L to false, 2_001L to true, 3_600_000L to true, -5_000L to true)) {
            absence.begin()
            now += away / 2
            // A second call does not start the absence again.
            absence.begin()
            now += away - away / 2
            assertEquals(reconnects, absence.end(), "$away ms")
            assertFalse(absence.end())
        }
    }

    private companion object {
        /** The notices of a view's begin and end. */
        val LIFE = listOf(Notice.ViewReady, Notice.ViewLost)
    }
}
