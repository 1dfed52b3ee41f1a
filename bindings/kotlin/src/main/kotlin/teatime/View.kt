package teatime

import kotlin.coroutines.CoroutineContext
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.launch

/**
 * A view of the model. It begins when the model has processed the view's own join, and ends when the model is lost or
 * the app leaves the session. The end cancels the coroutines that were launched in it, and ends the flows of [events].
 *
 * If such a coroutine fails, the session is left, and fails its scope with the same failure. An exception that says
 * that this session is over or has lost its model does not count: the view ends anyway. A failure of `async` goes to
 * its `await` only.
 *
 * @property session the session of the view
 */
public class View internal constructor(
    public val session: Session,
    private val subscriptions: Subscriptions,
    override val coroutineContext: CoroutineContext,
) : CoroutineScope {
    private val open = ArrayList<OpenSubscription>()
    private var lost = false

    /**
     * Subscribes to a topic; see [Session.events]. Called while the app builds the view, the flow misses no event
     * of the model after the state that the view was built from.
     */
    public fun events(scope: String, event: String, handling: Handling = Handling.QUEUED): Flow<Event> {
        val subscription = subscriptions.open(scope, event, handling)
        val late = synchronized(open) { if (!lost) open += subscription; lost }
        if (late) subscription.end()
        return subscription.flow
    }

    internal fun end() {
        val ending = synchronized(open) { lost = true; open.toList() }
        ending.forEach { it.end() }
        cancel()
    }

    /**
     * Whether a failure only reports the end of this view. A coroutine may read while the session is being left. A
     * broken connection does not end a view, and neither does the end of another session.
     */
    private fun isEnding(failure: Throwable): Boolean = failure is TeatimeException && when (failure.code) {
        ErrorCode.OVER -> session.isOver
        ErrorCode.NOT_JOINED -> synchronized(open) { lost } || !session.hasModel
        // Every call of a failed session fails with the session's reason.
        else -> failure.code == session.endCode
    }

    internal companion object {
        /** A view whose coroutines fail and are cancelled together with the session's own. */
        @OptIn(DelicateCoroutinesApi::class)
        fun of(session: Session, subscriptions: Subscriptions, parent: CoroutineContext): View {
            lateinit var view: View
            val failed = CoroutineExceptionHandler { _, failure ->
                // Atomic, so that the failure is not lost if the session is being cancelled.
                if (!view.isEnding(failure)) CoroutineScope(parent).launch(start = CoroutineStart.ATOMIC) { throw failure }
            }
            view = View(session, subscriptions, parent + SupervisorJob(parent[Job]) + failed)
            return view
        }
    }
}
