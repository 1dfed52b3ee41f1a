package teatime

import android.app.Activity
import android.app.Application
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlin.time.Duration.Companion.seconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import teatime.android.SessionLifecycle

class AndroidTest {
    @Test
    fun `an app in the background is one whose last activity has stopped`() = withReflector { url ->
        join(room(url)).use { session ->
            val notices = session.notices()
            val lifecycle: Application.ActivityLifecycleCallbacks = SessionLifecycle(session)
            // Nothing is asked of an activity; the stubs cannot make one.
            val activity = sun.misc.Unsafe::class.java.getDeclaredField("theUnsafe").run {
                isAccessible = true
                (get(null) as sun.misc.Unsafe).allocateInstance(Activity::class.java) as Activity
            }
            lifecycle.onActivityStarted(activity)
            // To the next activity and, longer than it takes to lose a line, no further.
            lifecycle.onActivityStarted(activity)
            lifecycle.onActivityStopped(activity)
            delay(2.1.seconds)
            lifecycle.onActivityStarted(activity)
            session.applied(session.post("still on the old line"))
            lifecycle.onActivityStopped(activity)
            lifecycle.onActivityStopped(activity)
            delay(2.1.seconds)
            lifecycle.onActivityStarted(activity)
            session.applied(session.post("on a new line"))
            session.close()
            val states = patiently("end") { notices.toList() }.filterIsInstance<Notice.Connection>().map { it.state }
            assertEquals(1, states.count { it is ConnectionState.Reconnecting }, "$states")
            assertTrue(states.last() == ConnectionState.Left)
        }
    }
}
