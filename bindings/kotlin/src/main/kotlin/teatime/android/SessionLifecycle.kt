package teatime.android

import android.app.Activity
import android.app.Application
import android.os.Bundle
import teatime.Session

/**
 * Tells a session when an Android app goes into the background and comes back: when the last of its
 * activities stops, and when one starts again. Register it with the application, by [follow].
 *
 * Called on the main thread, as Android does; it never blocks it for longer than a frame.
 */
public class SessionLifecycle(private val session: Session) : Application.ActivityLifecycleCallbacks {
    private var visible = 0

    override fun onActivityStarted(activity: Activity) {
        visible += 1
        session.onForeground()
    }

    override fun onActivityStopped(activity: Activity) {
        // An activity that was visible before this was registered is not counted.
        visible = (visible - 1).coerceAtLeast(0)
        if (visible == 0) session.onBackground()
    }

    override fun onActivityCreated(activity: Activity, savedInstanceState: Bundle?): Unit = Unit

    override fun onActivityResumed(activity: Activity): Unit = Unit

    override fun onActivityPaused(activity: Activity): Unit = Unit

    override fun onActivitySaveInstanceState(activity: Activity, outState: Bundle): Unit = Unit

    override fun onActivityDestroyed(activity: Activity): Unit = Unit
}

/** Follows the life of an application until the session is over. */
public fun Session.follow(application: Application) {
    val lifecycle = SessionLifecycle(this)
    application.registerActivityLifecycleCallbacks(lifecycle)
    onEnd { application.unregisterActivityLifecycleCallbacks(lifecycle) }
}
