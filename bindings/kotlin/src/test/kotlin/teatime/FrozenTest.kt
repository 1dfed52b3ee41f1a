package teatime

import java.io.File
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test

/** An app that the system freezes in the background: a process of its own. */
class FrozenTest {
    @Test
    fun `an app that was frozen for longer than its time to leave comes back and misses nothing`() = withReflector { url ->
        val options = room(url)
        join(options).use { other -> Phone(url, options.name).use { phone ->
            phone.await("ready")
            other.until("entry") { participants == 2 }
            phone.say("away")
            phone.await("away")
            phone.signal("STOP")
            // The app does not run, and leaves nevertheless.
            other.until("exit") { participants == 1 }
            other.applied(other.post("meanwhile"))
            phone.signal("CONT")
            phone.say("back")
            val lines = phone.await("back").split("|")
            assertEquals(listOf("going", "meanwhile", "here again"), lines.map { it.substringAfter(": ") }.takeLast(3))
            other.until("return") { participants == 2 }
        } }
    }

    /** Starts [main], and talks with it by lines. */
    private class Phone(url: String, name: String) : AutoCloseable {
        private val process = ProcessBuilder(
            File(System.getProperty("java.home"), "bin/java").path, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            "-Djna.library.path=" + System.getProperty("jna.library.path"), "-cp", System.getProperty("java.class.path"),
            "teatime.FrozenTest", url, name,
        ).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        private val printed = LinkedBlockingQueue<String>()

        init {
            thread(isDaemon = true) {
                process.inputStream.bufferedReader().forEachLine { printed.add(it) }
                printed.add("the program has ended")
            }
        }

        fun say(line: String) = process.outputStream.run { write("$line\n".toByteArray()); flush() }

        /** Waits for a line that begins with this word, and returns the rest of it. */
        fun await(word: String): String {
            val line = printed.poll(PATIENCE.inWholeSeconds, TimeUnit.SECONDS) ?: fail("no $word")
            assertTrue(line.startsWith(word), line)
            return line.removePrefix(word).trim()
        }

        fun signal(name: String) =
            assertEquals(0, ProcessBuilder("kill", "-$name", "${process.pid()}").start().waitFor(), "kill -$name")

        override fun close() {
            process.destroyForcibly()
        }
    }

    companion object {
        /** The app. It obeys lines of standard input. */
        @JvmStatic
        fun main(arguments: Array<String>) = runBlocking {
            join(room(arguments[0], name = arguments[1])).use { session ->
                println("ready")
                for (line in generateSequence(::readLine)) when (line) {
                    "away" -> {
                        session.onBackground(leaveAfter = 1500.milliseconds)
                        // Messages arrive in order: when this has come back, the reflector knows.
                        session.applied(session.post("going"))
                        println("away")
                    }
                    "back" -> {
                        session.onForeground()
                        session.applied(session.post("here again"))
                        println("back ${session.lines.joinToString("|")}")
                    }
                }
            }
        }
    }
}
