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
    fun `every code has its place in the hierarchy`() {
        for (code in ErrorCode.entries) {
            val failure = TeatimeException.of(code, "why")
            val expected = when (code.number / 100) {
                1 -> TeatimeException.InvalidArgument::class
                2 -> TeatimeException.InvalidData::class
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
    fun `a reflector that cannot listen says why`() {
        for (address in listOf("nowhere", "127.0.0.1:99999", "")) {
            assertEquals(ErrorCode.IO, failure { Reflector.start(address) }.code)
        }
        Reflector.start("127.0.0.1:0").use { first ->
            val taken = first.url.removePrefix("ws://")
            assertEquals(ErrorCode.IO, failure { Reflector.start(taken) }.code)
        }
    }

    @Test
    fun `a missing library is told with where it was looked for`(@TempDir folder: Path) {
        val told = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", told[0], "$told")
        for (part in listOf("libteatime_mobile.so", "jna.library.path ($folder)", "java.library.path",
            "linux-x86-64/libteatime_mobile.so", "jniLibs")) {
            assertTrue(part in told[1], "$part: $told")
        }
        // The second call tells the same.
        assertEquals(told.take(2), told.drop(2))
    }

    @Test
    fun `a library that is another one is told by its name`(@TempDir folder: Path) {
        val other = folder.resolve("libteatime_mobile.so")
        javaClass.getResourceAsStream("/com/sun/jna/linux-x86-64/libjnidispatch.so").use { Files.copy(it!!, other) }
        val told = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", told[0], "$told")
        assertTrue("$other is not the native library of this version" in told[1], "$told")
        assertEquals(told.take(2), told.drop(2))
    }

    @Test
    fun `a file that is no library is told with what the system says`(@TempDir folder: Path) {
        Files.writeString(folder.resolve("libteatime_mobile.so"), "no library")
        val told = firstCallsWith(folder)
        assertEquals("UNSUPPORTED", told[0], "$told")
        assertTrue("jna.library.path ($folder)" in told[1], "$told")
    }

    /** Code and message of the first two calls in a process of their own: what is loaded stays loaded. */
    private fun firstCallsWith(folder: Path): List<String> {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val classes = System.getProperty("java.class.path")
        val process = ProcessBuilder(java, "-Djna.library.path=$folder", "-cp", classes, FirstCalls::class.java.name)
            .redirectErrorStream(true).start()
        val told = process.inputStream.bufferedReader().readLines()
        assertTrue(process.waitFor(PATIENCE.inWholeSeconds, TimeUnit.SECONDS), "$told")
        assertEquals(0, process.exitValue(), "$told")
        return told
    }

    /** Prints what the first calls of a process fail with. */
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
