package teatime.chat

import com.sun.jna.Library
import com.sun.jna.Native
import com.sun.jna.Pointer
import sun.misc.Signal

/**
 * Calls [handle] at SIGINT, SIGTERM and SIGHUP.
 *
 * A shell script starts programs in the background with SIGINT ignored, and a JVM cannot handle a signal that was
 * ignored when it started. The other clients end at SIGINT even then, so this one first restores the default action.
 */
internal fun onSignals(handle: () -> Unit) {
    val system = Native.load("c", CLibrary::class.java)
    for (signal in listOf(Signal("INT"), Signal("TERM"))) {
        system.signal(signal.number, DEFAULT)
        Signal.handle(signal) { handle() }
    }
    // The end of the terminal. Has no effect after nohup.
    Signal.handle(Signal("HUP")) { handle() }
}

private interface CLibrary : Library {
    fun signal(number: Int, handler: Pointer?): Pointer?
}

/** The default action, SIG_DFL. */
private val DEFAULT: Pointer? = null
