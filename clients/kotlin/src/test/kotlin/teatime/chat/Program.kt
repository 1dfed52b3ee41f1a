package teatime.chat

import java.io.File
import java.io.IOException
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

/** The program in a process of its own, which a shell may start in the background with SIGINT ignored. */
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
                // The test has closed it.
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
        assertTrue(ProcessBuilder("kill", "-$name", "${process.pid()}").start().waitFor() == 0)
    }

    /** Nobody reads what it prints any more. */
    fun deafen() = process.inputStream.close()

    /** The next JSON line for which [wanted] holds. */
    fun awaitJson(what: String, wanted: (JsonObject) -> Boolean): JsonObject {
        while (true) {
            val line = printed.poll(PATIENCE_S, TimeUnit.SECONDS)
            if (line == null || line == END) fail<Unit>("no $what: $seen")
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

    /** Waits for the end; gives the exit code. */
    fun exitCode(): Int {
        assertTrue(process.waitFor(PATIENCE_S, TimeUnit.SECONDS)) { "it does not end: $seen" }
        while (true) seen += printed.poll(PATIENCE_S, TimeUnit.SECONDS)?.takeIf { it != END } ?: break
        return process.exitValue()
    }

    /** What it says to people, once it has ended. */
    fun errors(): String = process.errorStream.bufferedReader().readText()

    override fun close() {
        process.destroyForcibly()
    }

    private companion object {
        const val PATIENCE_S = 120L
        const val END = "\u0000"
    }
}

fun JsonObject.text(name: String): String? = this[name]?.jsonPrimitive?.content
