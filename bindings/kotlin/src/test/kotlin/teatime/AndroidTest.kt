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
    fun `an app is in the background when its last activity has stopped`() = withReflector { url ->
        join(room(url)).use { session ->
            val notices = session.notices()
            val lifecycle: Application.ActivityLifecycleCallbacks = SessionLifecycle(session)
            // No method of the activity is called. The stubs have no usable constructor.
            val activity = sun.misc.Unsafe::class.java.getDeclaredField("theUnsafe").run {
                isAccessible = true
                (get(null) as sun.misc.Unsafe).allocateInstance(Activity::class.java) as Activity
            }
            lifecycle.onActivityStarted(activity)
            // The user goes to the next activity, and stays longer than the limit for a new connection.
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
