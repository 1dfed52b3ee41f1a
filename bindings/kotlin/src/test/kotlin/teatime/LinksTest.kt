package teatime

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LinksTest {
    @Test
    fun `links are made and parsed`() {
        val link = JoinLink("ws://h:1", "a", "Tea /", mapOf("x" to "1", "b" to "2"), "p w")
        assertEquals("teatime://h:1/a/Tea%20%2F?b=2&x=1#p%20w", link.toString())
        assertEquals(link, JoinLink.parse(link.toString()))
        assertEquals(JoinLink("wss://h", "a", "🫖"), JoinLink.parse(JoinLink("wss://h", "a", "🫖").toString()))
    }

    @Test
    fun `invalid links are refused`() {
        for (bad in listOf("", "x", "teatime://", "http://h/a/b", "teatime://h:1/a", "\u0000")) {
            assertEquals(ErrorCode.BAD_LINK, failure { JoinLink.parse(bad) }.code, bad)
        }
        assertEquals(ErrorCode.BAD_ADDRESS, failure { JoinLink("http://h", "a", "b") }.code)
        assertEquals(TeatimeException.InvalidOptions::class, failure { JoinLink("ws://h", "", "b") }::class)
    }

    @Test
    fun `a code is a square with its three finders`() {
        val code = QrCode.of("teatime://h:1/a/room")
        assertTrue(code.side >= 21 && (code.side - 17) % 4 == 0, "${code.side}")
        val last = code.side - 7
        for ((column, row) in listOf(0 to 0, last to 0, 0 to last)) {
            val finder = (0 until 7).map { code.isDark(column + it, row) }
            assertTrue(finder.all { it }, "$column $row")
            assertTrue(!code.isDark(column + 1, row + 1) && code.isDark(column + 3, row + 3))
        }
        assertThrows(IndexOutOfBoundsException::class.java) { code.isDark(code.side, 0) }
        assertEquals(ErrorCode.TOO_LONG, failure { QrCode.of("x".repeat(3_000)) }.code)
    }
}
