package teatime.android

import android.app.Activity
import android.app.Application
import android.os.Bundle
import teatime.Session

/**
 * Calls [Session.onBackground] when the last activity of an Android app stops, and [Session.onForeground] when one
 * starts again. [follow] registers it with the application.
 *
 * Android calls it on the main thread. It never blocks that thread for longer than a frame.
 */
public class SessionLifecycle(private val session: Session) : Application.ActivityLifecycleCallbacks {
    private var visible = 0

    override fun onActivityStarted(activity: Activity) {
        visible += 1
        session.onForeground()
    }

    override fun onActivityStopped(activity: Activity) {
        // Activities that were visible before the registration are not counted.
        visible = (visible - 1).coerceAtLeast(0)
        if (visible == 0) session.onBackground()
    }

    override fun onActivityCreated(activity: Activity, savedInstanceState: Bundle?): Unit = Unit

    override fun onActivityResumed(activity: Activity): Unit = Unit

    override fun onActivityPaused(activity: Activity): Unit = Unit

    override fun onActivitySaveInstanceState(activity: Activity, outState: Bundle): Unit = Unit

    override fun onActivityDestroyed(activity: Activity): Unit = Unit
}

/** Follows an application to the background and back until the session is over. */
public fun Session.follow(application: Application) {
    val lifecycle = SessionLifecycle(this)
    application.registerActivityLifecycleCallbacks(lifecycle)
    onEnd { application.unregisterActivityLifecycleCallbacks(lifecycle) }
}
