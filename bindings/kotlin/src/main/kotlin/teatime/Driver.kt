package teatime

import java.util.concurrent.atomic.AtomicBoolean
import kotlin.coroutines.CoroutineContext
import kotlin.coroutines.coroutineContext
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.coroutines.yield
import teatime.ffi.Event as NativeEvent
import teatime.ffi.Session as NativeSession
import teatime.ffi.TeaFormat
import teatime.ffi.Waker

/** Steps a session when that is worthwhile, and passes on what it tells. */
internal class Driver(val native: NativeSession, private val build: (CoroutineContext) -> View) {
    val connection = MutableStateFlow<ConnectionState>(ConnectionState.Connecting(null))
    val progress = MutableStateFlow(0f)
    val ready = CompletableDeferred<Unit>()
    val ended = CompletableDeferred<Unit>()
    val subscriptions = Subscriptions(native)
    val notices = Notices()
    private val bell = Channel<Unit>(Channel.CONFLATED)
    val waiters = Waiters(::ring)
    private val over = AtomicBoolean(false)
    private var view: View? = null

    /** A step is worthwhile. */
    fun ring() {
        bell.trySend(Unit)
    }

    /** What whoever calls a session that is over is told; nothing while it is not. */
    fun end(): TeatimeException? {
        if (!over.get()) return null
        return (connection.value as? ConnectionState.Failed)?.reason ?: TeatimeException.over()
    }

    /** The code of what ended the session, also where that was not told yet; nothing while it goes on. */
    fun endCode(): ErrorCode? {
        end()?.let { return it.code }
        return try {
            call { native.check() }
            null
        } catch (reason: TeatimeException) {
            reason.code
        }
    }

    /** Asks the session something, as long as it is not over. */
    fun <T> ask(question: (NativeSession) -> T): T {
        end()?.let { throw it }
        try {
            return call { question(native) }
        } catch (failure: TeatimeException.NotSent) {
            if (failure.code != ErrorCode.OVER) throw failure
            // It may have failed so recently that it was not told yet: the reason says more.
            throw end() ?: reason(failure)
        }
    }

    private fun reason(otherwise: TeatimeException): TeatimeException = try {
        call { native.check() }
        otherwise
    } catch (reason: TeatimeException) {
        reason
    }

    /** Leaves; what has happened until then is still told. */
    fun leave() {
        if (over.getAndSet(true)) return
        quietly { call { native.leave() } }
        ring()
    }

    /** Runs until the session was left or has failed; then everything is freed. */
    suspend fun run() {
        try {
            call { native.setWaker(Bell(bell)) }
            while (stepped()) pause()
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (bug: TeatimeException.Internal) {
            // Of the library: it must not end the app.
            changed(ConnectionState.Failed(bug))
            notices.tell(Notice.Connection(connection.value))
        } catch (failure: Throwable) {
            // Who waits for the first view hears of it; otherwise it is a failure of this coroutine.
            if (!ready.completeExceptionally(failure)) throw failure
        } finally {
            finish()
        }
    }

    /** False when there will be nothing more. */
    private suspend fun stepped(): Boolean {
        call { native.step(BUDGET_US) }
        do {
            val events = subscriptions.pulling { call { native.poll(TeaFormat.JSON, MOST) } }
            events.forEach { told(it) }
        } while (events.size == MOST.toInt())
        if (connection.value != ConnectionState.Live) progress.value = call { native.progress() }
        waiters.settle()
        return connection.value.let { it != ConnectionState.Left && it !is ConnectionState.Failed }
    }

    private suspend fun told(event: NativeEvent) {
        val notice = when (event) {
            is NativeEvent.Published -> return subscriptions.deliver(event)
            else -> notice(event) ?: return
        }
        when (notice) {
            is Notice.Connection -> changed(notice.state)
            is Notice.ViewLost -> lose()
            is Notice.ViewReady -> {
                lose()
                view = build(coroutineContext)
            }
            else -> {}
        }
        notices.tell(notice)
        // That the connection is live is told right after the view.
        if (view != null && connection.value == ConnectionState.Live) ready.complete(Unit)
    }

    private fun changed(state: ConnectionState) {
        if (state == ConnectionState.Live) progress.value = 1f
        connection.value = state
        if (state is ConnectionState.Failed) over.set(true)
    }

    private fun lose() {
        view?.end()
        view = null
    }

    /** Waits until a step is worthwhile. */
    private suspend fun pause() {
        val due = call { native.nextDueUs() }
        when (due) {
            null -> bell.receive()
            0uL -> yield()
            else -> withTimeoutOrNull(duration(due)) { bell.receive() }
        }
    }

    private suspend fun finish() = withContext(NonCancellable) {
        over.set(true)
        lose()
        // On a dead line this takes up to half a second: not on the threads that step sessions.
        withContext(Dispatchers.IO) { free() }
        if (connection.value !is ConnectionState.Failed) connection.value = ConnectionState.Left
        val reason = end() ?: TeatimeException.over()
        ready.completeExceptionally(reason)
        waiters.end(reason)
        subscriptions.end()
        notices.end()
        ended.complete(Unit)
    }

    private fun free() {
        quietly { call { native.leave() } }
        quietly { call { native.setWaker(null) } }
        native.destroy()
    }

    /** Knows nothing but the bell, so that native code keeps nothing else alive. */
    class Bell(private val bell: Channel<Unit>) : Waker {
        override fun wake() {
            bell.trySend(Unit)
        }
    }

    companion object {
        /** Shared by all sessions, and apart from the threads on which apps may block. */
        val dispatcher: CoroutineDispatcher =
            Dispatchers.IO.limitedParallelism(Runtime.getRuntime().availableProcessors().coerceAtLeast(2), "teatime")

        /** Other calls of a session wait so long at most: about a frame. */
        private const val BUDGET_US = 15_000uL

        /** A call costs tens of µs, so one brings many events; but all of a batch are in memory at once. */
        private const val MOST = 256u
    }
}
