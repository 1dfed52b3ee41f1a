package teatime

import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import teatime.ffi.TeaStatus

class ErrorsTest {
    @Test
    fun `the table has the names and numbers of the library`() {
        assertEquals(TeaStatus.entries.map { it.name to it.value }, ErrorCode.entries.map { it.name to it.number })
        for (status in TeaStatus.entries) assertEquals(status.name, errorCode(status).name)
    }

    @Test
    fun `every code has its subclass`() {
        for (code in ErrorCode.entries) {
            val failure = TeatimeException.of(code, "why")
            val expected = when (code.number / 100) {
                1 -> TeatimeException.InvalidArgument::class
                2 -> TeatimeException.InvalidValue::class
                3 -> TeatimeException.InvalidOptions::class
                4 -> TeatimeException.NotSent::class
                5 -> TeatimeException.Disconnected::class
                6 -> TeatimeException.QueryFailed::class
                7 -> TeatimeException.ModelFailed::class
                8 -> TeatimeException.TransferFailed::class
                else -> TeatimeException.Internal::class
            }
            assertEquals(expected, failure::class)
            assertEquals(code to "why", failure.code to failure.message)
        }
    }

    @Test
    fun `a reflector that cannot listen fails with the reason`() {
        for (address in listOf("nowhere", "127.0.0.1:99999", "")) {
            assertEquals(ErrorCode.IO, failure { Reflector.start(address) }.code)
        }
        Reflector.start("127.0.0.1:0").use { first ->
            val taken = first.url.removePrefix("ws://")
            assertEquals(ErrorCode.IO, failure { Reflector.start(taken) }.code)
        }
    }

    @Test
    fun `the error of a missing library lists the searched places`(@TempDir folder: Path) {
        val lines = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", lines[0], "$lines")
        for (part in listOf("libteatime_mobile.so", "jna.library.path ($folder)", "java.library.path",
            "linux-x86-64/libteatime_mobile.so", "jniLibs")) {
            assertTrue(part in lines[1], "$part: $lines")
        }
        // The second call fails in the same way.
        assertEquals(lines.take(2), lines.drop(2))
    }

    @Test
    fun `the error of another library names its file`(@TempDir folder: Path) {
        val other = folder.resolve("libteatime_mobile.so")
        javaClass.getResourceAsStream("/com/sun/jna/linux-x86-64/libjnidispatch.so").use { Files.copy(it!!, other) }
        val lines = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", lines[0], "$lines")
        assertTrue("$other is not the native library of this version" in lines[1], "$lines")
        assertEquals(lines.take(2), lines.drop(2))
    }

    @Test
    fun `the error of a file that is not a library has the system's message`(@TempDir folder: Path) {
        Files.writeString(folder.resolve("libteatime_mobile.so"), "not a library")
        val lines = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", lines[0], "$lines")
        assertTrue("jna.library.path ($folder)" in lines[1], "$lines")
    }

    /** Code and message of the first two calls of a new process, because a loaded library stays loaded. */
    private fun firstCallsWith(folder: Path): List<String> {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val classes = System.getProperty("java.class.path")
        val process = ProcessBuilder(java, "-Djna.library.path=$folder", "-cp", classes, FirstCalls::class.java.name)
            .redirectErrorStream(true).start()
        val lines = process.inputStream.bufferedReader().readLines()
        assertTrue(process.waitFor(PATIENCE.inWholeSeconds, TimeUnit.SECONDS), "$lines")
        assertEquals(0, process.exitValue(), "$lines")
        return lines
    }

    /** Prints code and message of the failures of a process's first calls. */
    object FirstCalls {
        @JvmStatic
        fun main(arguments: Array<String>) {
            for (call in listOf<() -> Any>({ App.chat() }, { Reflector.local() })) {
                val failure = failure(call) as TeatimeException.LibraryUnavailable
                println(failure.code)
                println(failure.message.orEmpty().replace('\n', ' '))
            }
        }
    }
}
