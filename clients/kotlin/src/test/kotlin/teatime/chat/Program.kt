package teatime.chat

import java.io.File
import java.io.IOException
import java.time.Duration
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail

/** The program in a process of its own. A shell can start it in the background, with SIGINT ignored. */
class Program(vararg arguments: String, inBackground: Boolean = false) : AutoCloseable {
    private val process = ProcessBuilder(
        (if (inBackground) listOf("sh", "-c", "trap '' INT; exec \"$@\"", "sh") else emptyList()) +
            listOf(File(System.getProperty("java.home"), "bin/java").path, "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC", "-cp", System.getProperty("java.class.path"), "teatime.chat.MainKt") + arguments,
    ).start()
    private val printed = LinkedBlockingQueue<String>()
    private val input = process.outputStream.bufferedWriter()

    /** All lines of standard output so far. */
    val seen = ArrayList<String>()

    init {
        thread(isDaemon = true) {
            try {
                process.inputStream.bufferedReader().forEachLine { printed.add(it) }
            } catch (_: IOException) {
                // The test has closed the stream.
            }
            printed.add(END)
        }
    }

    fun say(line: String) {
        input.write(line + "\n")
        input.flush()
    }

    fun endInput() = input.close()

    fun signal(name: String) {
        val kill = ProcessBuilder("kill", "-$name", "${process.pid()}").start()
        assertTrue(kill.waitFor(PATIENCE.seconds, TimeUnit.SECONDS) && kill.exitValue() == 0, "kill -$name failed")
    }

    /** Closes the reading end of the program's output. */
    fun closeOutput() = process.inputStream.close()

    /** The next line before the deadline; null if there is none. */
    private fun nextLine(deadline: Long): String? =
        printed.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)?.takeIf { it != END }

    /** The next JSON line that [wanted] accepts. */
    fun awaitJson(what: String, wanted: (JsonObject) -> Boolean): JsonObject {
        val deadline = System.nanoTime() + PATIENCE.toNanos()
        while (true) {
            val line = nextLine(deadline) ?: fail("no $what: $seen")
            seen += line
            val json = Json.parseToJsonElement(line).jsonObject
            if (wanted(json)) return json
        }
    }

    fun await(event: String) = awaitJson(event) { it.text("event") == event }

    /** Waits until the history ends with a text. */
    fun awaitLine(text: String) = awaitJson("line $text") { json ->
        val last = json["items"]?.jsonArray?.lastOrNull()?.jsonObject
        last?.text("html")?.endsWith(text) == true
    }

    /** Waits for the end of the program, and returns its exit code. */
    fun exitCode(): Int {
        val deadline = System.nanoTime() + PATIENCE.toNanos()
        assertTrue(process.waitFor(PATIENCE.seconds, TimeUnit.SECONDS)) { "the program does not end: $seen" }
        while (true) seen += nextLine(deadline) ?: break
        return process.exitValue()
    }

    /** The program's standard error. Call it after the end of the program. */
    fun errors(): String = process.errorStream.bufferedReader().readText()

    override fun close() {
        process.destroyForcibly()
    }

    private companion object {
        val PATIENCE: Duration = Duration.ofSeconds(120)
        const val END = "\u0000"
    }
}

fun JsonObject.text(name: String): String? = this[name]?.jsonPrimitive?.content
