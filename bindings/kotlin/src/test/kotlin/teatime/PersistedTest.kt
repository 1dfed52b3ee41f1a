package teatime

import kotlinx.coroutines.flow.first
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

/** Three versions of an app: each begins with what the one before has persisted. */
class PersistedTest {
    @Serializable
    data class Board(val title: String, val stars: Int)

    /** The library has these models only if it was built with them: `cargo xtask kotlin --crate tests/app`. */
    @BeforeEach
    fun `the library has the models`() =
        assumeTrue(runCatching { app("1") }.exceptionOrNull()?.let { (it as TeatimeException).code } != ErrorCode.NOT_FOUND)

    private fun app(version: String) = App.exported("tea_test_board_$version")

    private fun options(url: String, version: String, room: String, password: String? = null) =
        JoinOptions(app(version), url, room, password)

    private suspend fun Session.rename(title: String) {
        val notices = notices()
        publish("board", "rename", title)
        patiently("storage") { notices.first { it is Notice.Persisted } }
    }

    @Test
    fun `a new version begins with what the old one persisted`() = withReflector { url ->
        for ((room, password) in listOf("open" to null, "closed" to "secret")) {
            val first = join(options(url, "1", room, password))
            assertEquals(Board("new", 0), first.read<Board>("board"))
            first.rename("tea")
            val notices = first.notices()
            val second = join(options(url, "2", room, password))
            assertEquals(Board("tea", 40), second.read<Board>("board"))
            val told = patiently("word of it") { notices.first { it is Notice.NewerVersion } }
            assertEquals(2u, (told as Notice.NewerVersion).version)
            assertTrue("version" in told.why, told.why)
            second.rename("coffee")
            assertEquals(Board("tea", 1), first.read<Board>("board"))
            val third = join(options(url, "3", room, password))
            assertEquals(Board("coffee", 42), third.read<Board>("board"))
            listOf(first, second, third).forEach { it.close() }
        }
    }

    @Test
    fun `what two newer versions have replaced is not stored and that is told`() = withReflector { url ->
        val first = join(options(url, "1", "three"))
        first.rename("tea")
        assertFalse(first.hasUnpersisted)
        assertNull(first.newerVersion)
        for (version in listOf("2", "3")) join(options(url, version, "three")).use { it.rename("newer") }
        val notices = first.notices()
        first.publish("board", "rename", "late")
        val told = patiently("word of it") { notices.first { it is Notice.NotPersisted } } as Notice.NotPersisted
        assertNull(told.code)
        assertTrue("stays in the session of this version" in told.why, told.why)
        assertTrue(first.hasUnpersisted)
        assertEquals(3u, first.newerVersion)
        first.close()
        assertEquals(ErrorCode.OVER, failure { first.hasUnpersisted }.code)
        assertEquals(ErrorCode.OVER, failure { first.newerVersion }.code)
    }

    @Test
    fun `a migration that fails is thrown and loses nothing`() = withReflector { url ->
        join(options(url, "2", "cursed")).use { second ->
            second.rename("cursed")
            val failure = failure { join(options(url, "3", "cursed")) }
            assertEquals(TeatimeException.Disconnected::class, failure::class)
            assertEquals(ErrorCode.MIGRATION, failure.code)
            assertTrue("from version 2 to version 3" in failure.message.orEmpty(), "$failure")
            assertEquals(Board("cursed", 2), second.read<Board>("board"))
            // With the bug out of it, it begins with what was persisted.
            join(options(url, "3_mended", "cursed")).use { assertEquals(Board("cursed", 2), it.read<Board>("board")) }
        }
    }
}
