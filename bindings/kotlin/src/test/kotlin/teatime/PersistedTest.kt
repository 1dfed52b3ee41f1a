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

/** Tests three versions of an app. Each begins with the persisted data of the version before. */
class PersistedTest {
    @Serializable
    data class Board(val title: String, val stars: Int)

    /** Skips these tests if the library is without their models; `cargo xtask kotlin --crate tests/app` adds them. */
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
    fun `a new version begins with the persisted data of the old one`() = withReflector { url ->
        for ((room, password) in listOf("open" to null, "closed" to "secret")) {
            val first = join(options(url, "1", room, password))
            assertEquals(Board("new", 0), first.read<Board>("board"))
            first.rename("tea")
            val notices = first.notices()
            val second = join(options(url, "2", room, password))
            assertEquals(Board("tea", 40), second.read<Board>("board"))
            val notice = patiently("notice") { notices.first { it is Notice.NewerVersion } }
            assertEquals(2u, (notice as Notice.NewerVersion).version)
            assertTrue("version" in notice.message, notice.message)
            second.rename("coffee")
            assertEquals(Board("tea", 1), first.read<Board>("board"))
            val third = join(options(url, "3", room, password))
            assertEquals(Board("coffee", 42), third.read<Board>("board"))
            listOf(first, second, third).forEach { it.close() }
        }
    }

    @Test
    fun `persisted data is stored beside that of newer versions`() = withReflector { url ->
        val first = join(options(url, "1", "three"))
        first.rename("tea")
        assertFalse(first.hasUnpersisted)
        assertNull(first.newerVersion)
        for (version in listOf("2", "3")) join(options(url, version, "three")).use { it.rename("newer") }
        first.rename("late")
        assertFalse(first.hasUnpersisted)
        assertEquals(3u, first.newerVersion)
        first.close()
        assertEquals(ErrorCode.OVER, failure { first.hasUnpersisted }.code)
        assertEquals(ErrorCode.OVER, failure { first.newerVersion }.code)
    }

    @Test
    fun `a failed migration is thrown and loses nothing`() = withReflector { url ->
        join(options(url, "2", "cursed")).use { second ->
            second.rename("cursed")
            val failure = failure { join(options(url, "3", "cursed")) }
            assertEquals(TeatimeException.Disconnected::class, failure::class)
            assertEquals(ErrorCode.MIGRATION, failure.code)
            assertTrue("from version 2 to version 3" in failure.message.orEmpty(), "$failure")
            assertEquals(Board("cursed", 2), second.read<Board>("board"))
            // The version without the bug begins with the persisted data.
            join(options(url, "3_mended", "cursed")).use { assertEquals(Board("cursed", 2), it.read<Board>("board")) }
        }
    }
}
