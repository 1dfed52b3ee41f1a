package teatime

import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.net.URI
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.concurrent.thread

/** A connection to a reflector that a test can cut and mend. */
class Wire(url: String) : AutoCloseable {
    private val target = URI(url).port
    private val server = ServerSocket(0, 50, InetAddress.getLoopbackAddress())
    private val sockets = CopyOnWriteArrayList<Socket>()

    @Volatile
    private var isCut = false

    val url: String = "ws://127.0.0.1:${server.localPort}"

    init {
        thread(isDaemon = true) {
            try {
                while (true) accept(server.accept())
            } catch (_: IOException) {
                // Closed at the end of the test.
            }
        }
    }

    private fun accept(near: Socket) {
        if (isCut) return near.close()
        val far = Socket(InetAddress.getLoopbackAddress(), target)
        sockets += listOf(near, far)
        pass(near, far)
        pass(far, near)
        if (isCut) drop()
    }

    private fun pass(from: Socket, to: Socket) {
        thread(isDaemon = true) {
            try {
                from.getInputStream().copyTo(to.getOutputStream())
            } catch (_: IOException) {
                // Cut.
            }
            from.close()
            to.close()
        }
    }

    private fun drop() = sockets.forEach { it.close() }

    fun cut() {
        isCut = true
        drop()
    }

    /** Closes all connections as a server does that speaks another version of the protocol, with code 4102. */
    fun refuse() {
        val close = byteArrayOf(0x88.toByte(), 2, 0x10, 0x06)
        // Each client comes before its server.
        sockets.filterIndexed { at, _ -> at % 2 == 0 }.forEach { it.getOutputStream().write(close) }
    }

    fun mend() {
        isCut = false
    }

    override fun close() {
        server.close()
        drop()
    }
}
