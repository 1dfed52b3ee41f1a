package teatime

import android.os.SystemClock
import kotlin.math.abs

/** Measures how long an app was in the background. */
internal class Absence(private val clockMs: () -> Long = SleepingClock::nowMs) {
    private var since: Long? = null
    private var isLeaving = false

    @Synchronized
    fun begin(isLeaving: Boolean = false) {
        if (since == null) since = clockMs()
        this.isLeaving = isLeaving || this.isLeaving
    }

    /** Ends the absence. Returns whether a new connection is needed: it was long enough for connections to die, or the
     *  reflector was told that the participant leaves. */
    @Synchronized
    fun end(): Boolean {
        val began = since ?: return false
        since = null
        if (isLeaving) {
            isLeaving = false
            return true
        }
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
