package teatime

import android.os.SystemClock
import kotlin.math.abs

/** Measures how long an app was in the background. */
internal class Absence(private val clockMs: () -> Long = SleepingClock::nowMs) {
    private var since: Long? = null

    @Synchronized
    fun begin() {
        if (since == null) since = clockMs()
    }

    /** Ends the absence. Returns whether it was long enough for connections to die. */
    @Synchronized
    fun end(): Boolean {
        val began = since ?: return false
        since = null
        // If the clock was set back the length is unknown: an unneeded connection does less harm.
        return abs(clockMs() - began) > HARMLESS_MS
    }

    private companion object {
        const val HARMLESS_MS = 2_000L
    }
}

/** A clock that goes on while the machine sleeps. */
internal object SleepingClock {
    private val onAndroid = System.getProperty("java.vm.name") == "Dalvik"

    /** Other systems have only the wall clock for this, although users can set it. */
    fun nowMs(): Long = if (onAndroid) SystemClock.elapsedRealtime() else System.currentTimeMillis()
}
