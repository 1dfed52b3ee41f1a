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
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.coroutines.yield
import teatime.ffi.Event as NativeEvent
import teatime.ffi.Session as NativeSession
import teatime.ffi.TeaFormat
import teatime.ffi.Waker

/** Steps a session when a step is worthwhile, and delivers its events. */
internal class Driver(val native: NativeSession, private val build: (CoroutineContext) -> View) {
    val connection = MutableStateFlow<ConnectionState>(ConnectionState.Connecting(null))
    val progress = MutableStateFlow(0f)
    val ready = CompletableDeferred<Unit>()
    val ended = CompletableDeferred<Unit>()
    val subscriptions = Subscriptions(native)
    val notices = Notices()

    /** Counts the changes of what other participants show of themselves. Negative: the session is over. */
    val presenceChanges = MutableStateFlow(0L)
    private val bell = Channel<Unit>(Channel.CONFLATED)
    val waiters = Waiters(::ring)
    private val over = AtomicBoolean(false)
    private var view: View? = null

    /** Wakes the driver, because a step is worthwhile. */
    fun ring() {
        bell.trySend(Unit)
    }

    /** The failure of every call after the end of the session; null before the end. */
    fun endReason(): TeatimeException? {
        if (!over.get()) return null
        return (connection.value as? ConnectionState.Failed)?.reason ?: TeatimeException.over()
    }

    /** The code of the reason for the end, even before the end is announced; null while the session goes on. */
    fun endCode(): ErrorCode? {
        endReason()?.let { return it.code }
        return try {
            call { native.check() }
            null
        } catch (reason: TeatimeException) {
            reason.code
        }
    }

    /** Calls the native session, unless it is over. */
    fun <T> ask(question: (NativeSession) -> T): T {
        endReason()?.let { throw it }
        try {
            return call { question(native) }
        } catch (failure: TeatimeException.NotSent) {
            if (failure.code != ErrorCode.OVER) throw failure
            // The session may have failed without announcing it yet. Its reason says more than this failure.
            throw endReason() ?: reason(failure)
        }
    }

    private fun reason(otherwise: TeatimeException): TeatimeException = try {
        call { native.check() }
        otherwise
    } catch (reason: TeatimeException) {
        reason
    }

    /** Leaves. Events from before are still delivered. */
    fun leave() {
        if (over.getAndSet(true)) return
        quietly { call { native.leave() } }
        ring()
    }

    /** Runs until the session is left or fails, and then frees everything. */
    suspend fun run() {
        try {
            call { native.setWaker(Bell(bell)) }
            while (step()) pause()
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (bug: TeatimeException.Internal) {
            // A bug of the library must not end the app.
            change(ConnectionState.Failed(bug))
            notices.send(Notice.Connection(connection.value))
        } catch (failure: Throwable) {
            // Callers of `ready` get it. If the view was ready before, this coroutine fails with it.
            if (!ready.completeExceptionally(failure)) throw failure
        } finally {
            finish()
        }
    }

    /** Steps once and delivers all events. Returns false after the last step. */
    private suspend fun step(): Boolean {
        call { native.step(BUDGET_US) }
        do {
            val events = subscriptions.pulling { call { native.poll(TeaFormat.JSON, MOST) } }
            events.forEach { deliver(it) }
        } while (events.size == MOST.toInt())
        if (connection.value != ConnectionState.Live) progress.value = call { native.progress() }
        waiters.settle()
        return connection.value.let { it != ConnectionState.Left && it !is ConnectionState.Failed }
    }

    private suspend fun deliver(event: NativeEvent) {
        val notice = when (event) {
            is NativeEvent.Published -> return subscriptions.deliver(event)
            is NativeEvent.PresencesChanged -> return presenceChanges.update { it + 1 }
            else -> notice(event) ?: return
        }
        when (notice) {
            is Notice.Connection -> change(notice.state)
            is Notice.ViewLost -> endView()
            is Notice.ViewReady -> {
                endView()
                view = build(coroutineContext)
            }
            else -> {}
        }
        notices.send(notice)
        // The state Live follows directly after the view.
        if (view != null && connection.value == ConnectionState.Live) ready.complete(Unit)
    }

    private fun change(state: ConnectionState) {
        if (state == ConnectionState.Live) progress.value = 1f
        connection.value = state
        if (state is ConnectionState.Failed) over.set(true)
    }

    private fun endView() {
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
        endView()
        // On a dead line this takes up to half a second, so the threads that step sessions must not do it.
        withContext(Dispatchers.IO) { free() }
        if (connection.value !is ConnectionState.Failed) connection.value = ConnectionState.Left
        val reason = endReason() ?: TeatimeException.over()
        ready.completeExceptionally(reason)
        waiters.end(reason)
        subscriptions.end()
        notices.end()
        presenceChanges.value = -1
        ended.complete(Unit)
    }

    private fun free() {
        quietly { call { native.leave() } }
        quietly { call { native.setWaker(null) } }
        native.destroy()
    }

    /** Refers to the bell only, because native code keeps alive whatever this refers to. */
    class Bell(private val bell: Channel<Unit>) : Waker {
        override fun wake() {
            bell.trySend(Unit)
        }
    }

    companion object {
        /** Threads that all sessions share, apart from the threads on which apps may block. */
        val dispatcher: CoroutineDispatcher =
            Dispatchers.IO.limitedParallelism(Runtime.getRuntime().availableProcessors().coerceAtLeast(2), "teatime")

        /** The longest wait of other calls of a session: about a frame. */
        private const val BUDGET_US = 15_000uL

        /** Events of one batch. A call costs tens of µs, so it brings many; all events of a batch are in memory. */
        private const val MOST = 256u
    }
}
