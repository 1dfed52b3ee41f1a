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
 * A view of the model: from the moment when its own join has been processed until the model is lost or the
 * session is left. Coroutines that are launched in it are cancelled then, and flows of [events] end.
 *
 * If such a coroutine fails, the session is left, as if it had failed itself; but not if it was told that this
 * session is over or has no model any more, for then the view is ending anyway. What `async` fails with is told to
 * whoever awaits it, and to nobody else.
 *
 * @property session the session that the view belongs to
 */
public class View internal constructor(
    public val session: Session,
    private val subscriptions: Subscriptions,
    override val coroutineContext: CoroutineContext,
) : CoroutineScope {
    private val open = ArrayList<OpenSubscription>()
    private var lost = false

    /**
     * Listens to a topic from now on; see [Session.events]. When this is called while the view is built, the
     * flow has everything that the model publishes from then on.
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
     * A coroutine that reads while the session is left comes too late, and has done nothing wrong. That the line is
     * broken for a moment ends no view, nor does what happens to another session.
     */
    private fun isEnding(failure: Throwable): Boolean = failure is TeatimeException && when (failure.code) {
        ErrorCode.OVER -> session.isOver
        ErrorCode.NOT_JOINED -> synchronized(open) { lost } || !session.hasModel
        // Of a session that has failed every call tells why.
        else -> failure.code == session.endCode
    }

    internal companion object {
        /** Below the session's own coroutine: they fail, and are cancelled, together. */
        @OptIn(DelicateCoroutinesApi::class)
        fun of(session: Session, subscriptions: Subscriptions, parent: CoroutineContext): View {
            lateinit var view: View
            val failed = CoroutineExceptionHandler { _, failure ->
                // Also when the session is being cancelled: a failure is not lost.
                if (!view.isEnding(failure)) CoroutineScope(parent).launch(start = CoroutineStart.ATOMIC) { throw failure }
            }
            view = View(session, subscriptions, parent + SupervisorJob(parent[Job]) + failed)
            return view
        }
    }
}
