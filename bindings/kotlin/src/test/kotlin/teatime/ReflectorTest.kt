package teatime

import java.io.IOException
import java.net.Socket
import java.net.URI
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class ReflectorTest {
    private fun connect(url: String) = URI(url).let { Socket(it.host, it.port).close() }

    /** Collects the garbage, and waits for what runs when an object is gone. */
    private fun collect() = repeat(20) {
        System.gc()
        Thread.sleep(20)
    }

    @Test
    fun `a reflector runs on when its object is out of use`() {
        val url = Reflector.start("127.0.0.1:0").url
        collect()
        connect(url)
    }

    @Test
    fun `a closed reflector listens no longer`() {
        val reflector = Reflector.start("127.0.0.1:0")
        connect(reflector.url)
        reflector.close()
        assertThrows(IOException::class.java) { connect(reflector.url) }
    }
}
