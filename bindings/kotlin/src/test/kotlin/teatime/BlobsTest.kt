package teatime

import java.io.RandomAccessFile
import java.nio.file.Files
import java.nio.file.Path
import java.util.Collections
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.encodeToString
import kotlinx.serialization.encoding.AbstractDecoder
import kotlinx.serialization.encoding.CompositeDecoder
import kotlinx.serialization.json.Json
import kotlinx.serialization.modules.EmptySerializersModule
import kotlinx.serialization.serializer
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class BlobsTest {
    @TempDir
    lateinit var folder: Path

    /** Bytes in which no two pieces are equal. */
    private fun content(count: Int = LARGE): ByteArray {
        var random = 1
        return ByteArray(count) {
            random = random * 1_664_525 + 1_013_904_223
            (random ushr 24).toByte()
        }
    }

    @Test
    fun `five megabytes come back and progress grows`() = withReflector { url ->
        val content = content()
        for (password in listOf(null, "secret")) {
            val options = room(url, password)
            val (mine, theirs) = join(options) to join(options)
            val up = Collections.synchronizedList(mutableListOf<TransferProgress>())
            val down = Collections.synchronizedList(mutableListOf<TransferProgress>())
            val blob = patiently("store") { mine.store(content) { up += it } }
            assertEquals(LARGE.toLong(), blob.size)
            assertTrue(theirs.owns(blob))
            assertArrayEquals(content, patiently("fetch") { theirs.fetch(blob) { down += it } })
            for (steps in listOf(up, down)) {
                assertEquals(steps.map { it.done }.sorted(), steps.map { it.done })
                assertEquals(TransferProgress(LARGE.toLong(), LARGE.toLong()), steps.last())
                assertEquals(1f, steps.last().fraction)
            }
            assertEquals(blob, theirs.store(content))
            assertEquals(0, mine.fetch(mine.store(ByteArray(0))).size)
            listOf(mine, theirs).forEach { it.close() }
        }
    }

    @Test
    fun `files are stored and fetched`() = withReflector { url ->
        join(room(url)).use { session ->
            val (from, to) = folder.resolve("from") to folder.resolve("to")
            Files.write(from, content())
            val blob = session.store(from.toFile())
            session.fetch(blob, to.toFile())
            assertArrayEquals(content(), Files.readAllBytes(to))
            assertEquals(ErrorCode.IO, failure { session.store(folder.resolve("none").toFile()) }.code)
            assertEquals(ErrorCode.IO, failure { session.fetch(blob, Path.of("/dev/null/nowhere").toFile()) }.code)
        }
    }

    @Test
    fun `a blob that is too large fails before anything is sent`() = withReflector { url ->
        join(room(url)).use { session ->
            val sparse = folder.resolve("sparse").toFile()
            // The limit of a reflector in memory is 64 MiB. The file is sparse.
            RandomAccessFile(sparse, "rw").use { it.setLength(64L * 1024 * 1024 + 1) }
            val steps = Collections.synchronizedList(mutableListOf<TransferProgress>())
            val failure = failure { session.store(sparse) { steps += it } }
            assertEquals(TeatimeException.TransferFailed::class, failure::class)
            assertEquals(ErrorCode.BLOB_TOO_LARGE, failure.code)
            assertTrue("67108864" in failure.message.orEmpty(), "$failure")
            assertTrue(steps.all { it.done == 0L }, "$steps")
        }
    }

    @Test
    fun `cancelling the caller ends a transfer`() = withReflector { _ ->
        // Nothing listens there, so the transfer would try for six seconds.
        Session.start(room("ws://127.0.0.1:1")).use { session ->
            val content = content(1000)
            val storing = async { runCatching { session.store(content) } }
            delay(20.milliseconds)
            val started = TimeSource.Monotonic.markNow()
            storing.cancel()
            storing.join()
            assertTrue(storing.isCancelled && started.elapsedNow() < 3.seconds, "${started.elapsedNow()}")
            assertEquals(ErrorCode.UNREACHABLE, failure { session.store(content) }.code)
            session.leave()
            assertEquals(ErrorCode.OVER, failure { session.store(content) }.code)
        }
    }

    @Test
    fun `unknown handles and foreign handles have different errors`() = withReflector { url ->
        val options = room(url, "secret")
        join(options).use { session ->
            val blob = session.store(content(1000))
            // This needs no reflector.
            Session.start(options.copy(password = "guessed", reflector = "ws://127.0.0.1:1")).use { other ->
                assertFalse(other.owns(blob))
                assertEquals(ErrorCode.OTHER_SESSION, failure { other.fetch(blob) }.code)
            }
            Reflector.start("127.0.0.1:0").use { empty ->
                Session.start(options.copy(reflector = empty.url)).use { elsewhere ->
                    assertEquals(ErrorCode.UNKNOWN_BLOB, failure { elsewhere.fetch(blob) }.code)
                }
            }
        }
    }

    @Test
    fun `a handle is its text in every format`() {
        val text = "teatime-blob:" + "ab".repeat(32) + "0000000000000102" + "09".repeat(16)
        val handle = BlobHandle(text)
        assertEquals(258, handle.size)
        assertEquals("[\"$text\"]", Json.encodeToString(listOf(handle)))
        assertEquals(listOf(handle), Json.decodeFromString<List<BlobHandle>>("[\"$text\"]"))
        val largest = text.replace("0000000000000102", "7" + "f".repeat(15))
        assertEquals(Long.MAX_VALUE, BlobHandle(largest).size)
        val tooLarge = text.replace("0000000000000102", "8" + "0".repeat(15))
        for (wrong in listOf(tooLarge, "", "teatime-blob:", text.dropLast(1), text + "0", text.uppercase(), text.drop(1) + "0")) {
            assertEquals(ErrorCode.BAD_BLOB_HANDLE, failure { BlobHandle(wrong) }.code, wrong)
            val read = runCatching { Json.decodeFromString<List<BlobHandle>>("[\"$wrong\"]") }
            assertTrue(read.exceptionOrNull() is SerializationException, wrong)
            val elsewhere = runCatching { serializer<BlobHandle>().deserialize(Bare(wrong)) }
            assertTrue(elsewhere.exceptionOrNull() is SerializationException, wrong)
        }
    }

    /** A format that passes on the exceptions of a serializer; not all formats do. */
    @OptIn(ExperimentalSerializationApi::class)
    private class Bare(private val text: String) : AbstractDecoder() {
        override val serializersModule = EmptySerializersModule()

        override fun decodeElementIndex(descriptor: SerialDescriptor) = CompositeDecoder.DECODE_DONE

        override fun decodeString() = text
    }

    @Serializable
    data class Photo(val text: String, val photo: BlobHandle)

    @Test
    fun `a late joiner fetches a blob by the handle in the model`() = withReflector { url ->
        val options = room(url)
        join(options).use { session ->
            val content = content()
            val blob = session.store(content)
            val shown = session.events("show", "photo")
            session.publishToViews("show", "photo", Photo("me", blob))
            assertEquals(blob, patiently("photo") { shown.first() }.decode<Photo>().photo)
            session.applied(session.post(blob.text))
            // From now on a snapshot contains the model.
            val notices = session.notices()
            session.requestVote()
            patiently("verdict") { notices.first { it is Notice.Verdict } }
            join(options).use { late ->
                val line = late.lines.last { "teatime-blob:" in it }
                val found = BlobHandle(line.substring(line.indexOf("teatime-blob:")))
                assertArrayEquals(content, late.fetch(found))
            }
        }
    }

    @Test
    fun `the cache needs no reflector and its bytes are checked`() = withReflector { url ->
        val cache = folder.resolve("cache")
        val options = room(url, "secret").copy(blobCacheDirectory = "$cache")
        join(options).use { session ->
            val content = content()
            val blob = session.store(content)
            session.fetch(blob)
            Session.start(options.copy(reflector = "ws://127.0.0.1:1")).use { offline ->
                assertArrayEquals(content, offline.fetch(blob))
                for (file in cache.toFile().listFiles().orEmpty()) {
                    RandomAccessFile(file, "rw").use {
                        it.seek(20)
                        it.write("wrong".encodeToByteArray())
                    }
                }
                assertEquals(ErrorCode.UNREACHABLE, failure { offline.fetch(blob) }.code)
                assertArrayEquals(content, session.fetch(blob))
            }
            Session.start(options.copy(blobCacheDirectory = "/dev/null/nowhere")).use { nowhere ->
                assertEquals(ErrorCode.IO, failure { nowhere.fetch(blob) }.code)
            }
        }
    }

    private companion object {
        const val LARGE = 5_000_000
    }
}
