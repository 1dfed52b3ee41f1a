package teatime

import android.os.SystemClock
import kotlin.math.abs

/** For how long an app was in the background. */
internal class Absence(private val clockMs: () -> Long = SleepingClock::nowMs) {
    private var since: Long? = null

    @Synchronized
    fun begin() {
        if (since == null) since = clockMs()
    }

    /** Ends it; whether it was so long that connections may have died. */
    @Synchronized
    fun end(): Boolean {
        val began = since ?: return false
        since = null
        // A clock that was set back says nothing: better one connection too many.
        return abs(clockMs() - began) > HARMLESS_MS
    }

    private companion object {
        const val HARMLESS_MS = 2_000L
    }
}

/** A clock that goes on while the machine sleeps. */
internal object SleepingClock {
    private val onAndroid = System.getProperty("java.vm.name") == "Dalvik"

    /** On other machines only the clock on the wall goes on, though it can be set. */
    fun nowMs(): Long = if (onAndroid) SystemClock.elapsedRealtime() else System.currentTimeMillis()
}
