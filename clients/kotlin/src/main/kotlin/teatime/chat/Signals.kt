package teatime.chat

import com.sun.jna.Library
import com.sun.jna.Native
import com.sun.jna.Pointer
import sun.misc.Signal

/**
 * Calls [handle] at SIGINT and SIGTERM.
 *
 * A shell script starts programs in the background with SIGINT ignored, and the JVM handles no signal that it found
 * ignored. The other clients end at SIGINT even then, so this one first gives the signal its default back.
 */
internal fun onSignals(handle: () -> Unit) {
    val system = Native.load("c", CLibrary::class.java)
    for (signal in listOf(Signal("INT"), Signal("TERM"))) {
        system.signal(signal.number, DEFAULT)
        Signal.handle(signal) { handle() }
    }
}

private interface CLibrary : Library {
    fun signal(number: Int, handler: Pointer?): Pointer?
}

/** SIG_DFL. */
private val DEFAULT: Pointer? = null
