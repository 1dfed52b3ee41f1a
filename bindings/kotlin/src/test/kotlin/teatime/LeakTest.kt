package teatime

import java.io.File
import java.lang.ref.WeakReference
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LeakTest {
    private fun ofProcess(field: String): Long =
        File("/proc/self/status").readLines().first { it.startsWith("$field:") }.split(Regex("\\s+"))[1].toLong()

    /** The number of threads for sockets. Native code has one for each session. */
    private fun socketThreads(): Int =
        File("/proc/self/task").listFiles().orEmpty().count { thread ->
            // A thread may end while this reads its name.
            runCatching { thread.resolve("comm").readText().trim() }.getOrNull() == "teatime-net"
        }

    /** Joins [count] rooms, many at a time, posts in each, and leaves. */
    private suspend fun rounds(url: String, count: Int) = coroutineScope {
        repeat(count / AT_ONCE) {
            List(AT_ONCE) {
                async {
                    val session = join(room(url))
                    session.events("*", "*")
                    session.applied(session.post("x"))
                    session.close()
                    patiently("end") { session.awaitEnd() }
                }
            }.awaitAll()
        }
    }

    @Test
    fun `a thousand joins and leaves leave neither threads nor memory behind`() = withReflector { url ->
        rounds(url, 100)
        System.gc()
        val memoryKib = ofProcess("VmRSS")
        rounds(url, 1_000)
        System.gc()
        assertEquals(0, socketThreads())
        // The threads of the pools, the virtual machine and the reflector.
        assertTrue(ofProcess("Threads") < 100, "${ofProcess("Threads")} threads")
        val grownKib = ofProcess("VmRSS") - memoryKib
        // 40 KiB for each session. A session that is not freed holds more: its model, buffers and TLS roots.
        assertTrue(grownKib < 40 * 1_000, "$grownKib KiB more")
    }

    @Test
    fun `a closed session is garbage collected`() = withReflector { url ->
        val reference = runBlocking {
            val session = join(room(url))
            session.close()
            patiently("end") { session.awaitEnd() }
            WeakReference(session)
        }
        assertEquals(Unit, withTimeoutOrNull(PATIENCE) {
            while (reference.get() != null) {
                System.gc()
                delay(10.milliseconds)
            }
        })
    }

    @Test
    fun `sessions have no threads of their own on the JVM`() = withReflector { url ->
        assertEquals(0, socketThreads())
        val few = List(10) { join(room(url)) }
        val before = Thread.activeCount()
        val more = List(40) { join(room(url)) }
        assertTrue(Thread.activeCount() <= before + 4, "${Thread.activeCount()} threads, $before before")
        // Checks that the count finds threads at all.
        assertEquals(50, socketThreads())
        (few + more).forEach { it.close() }
    }

    private companion object {
        const val AT_ONCE = 50
    }
}
