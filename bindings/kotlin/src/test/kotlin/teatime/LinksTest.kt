package teatime

import kotlinx.serialization.json.Json
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LinksTest {
    @Test
    fun `links are made and parsed`() {
        val link = JoinLink("ws://h:1", "a", "Tea /", Json.parseToJsonElement("""{"x":1,"b":[2]}"""), "p w")
        assertTrue(link.toString().startsWith("teatime://h:1/-"), link.toString())
        assertEquals(link, JoinLink.parse("<${link.toString().replace("#", "%23")}>."))
        assertEquals(link, JoinLink.parse(link.toString()))
        assertEquals(JoinLink("wss://h", "a", "🫖"), JoinLink.parse(JoinLink("wss://h", "a", "🫖").toString()))
    }

    @Test
    fun `a link carries all options of the app`() {
        val chat = Json.parseToJsonElement("""{"inactivity_seconds":60,"announce":true}""")
        val link = JoinOptions(App.chat(), "ws://h:1", "a", options = chat).link()
        assertEquals(chat, link.options)
        assertEquals(link, JoinOptions.of(App.chat(), link).link())
        val usual = JoinOptions(App.chat(), "ws://h:1", "a", options = Json.parseToJsonElement("{}")).link()
        assertEquals(null, usual.options)
        assertEquals(usual, JoinOptions.of(App.chat(), usual).link())
        val strange = JoinLink("ws://h:1", "teatime.chat", "a", Json.parseToJsonElement("""{"x":1}"""))
        assertEquals(ErrorCode.BAD_OPTIONS, failure { JoinOptions.of(App.chat(), strange) }.code)
    }

    @Test
    fun `invalid links are refused`() {
        val cut = JoinLink("ws://h:1", "a", "b", password = "pw").toString().substringBefore('#')
        assertEquals(ErrorCode.BAD_LINK, failure { JoinLink.parse(cut) }.code)
        for (bad in listOf("", "x", "teatime://", "http://h/a/b", "teatime://h:1/a", "\u0000")) {
            assertEquals(ErrorCode.BAD_LINK, failure { JoinLink.parse(bad) }.code, bad)
        }
        assertEquals(ErrorCode.BAD_ADDRESS, failure { JoinLink("http://h", "a", "b") }.code)
        val other = JoinLink("ws://h", "", "b")
        assertEquals(TeatimeException.InvalidOptions::class, failure { JoinOptions.of(App.chat(), other) }::class)
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
