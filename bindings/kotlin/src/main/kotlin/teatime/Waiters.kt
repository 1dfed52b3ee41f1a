package teatime

import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.suspendCancellableCoroutine

/** Suspends callers until their attempt succeeds. The driver tries again after every step. */
internal class Waiters(private val ring: () -> Unit) {
    private val all = LinkedHashSet<Waiter<*>>()
    private var ended: Throwable? = null

    /** The first result of [attempt] that is not null. */
    suspend fun <T : Any> until(attempt: () -> T?): T = attempt() ?: suspendCancellableCoroutine { continuation ->
        val waiter = Waiter(attempt, continuation)
        continuation.invokeOnCancellation { synchronized(this) { all -= waiter } }
        val over = synchronized(this) { ended ?: null.also { all += waiter } }
        if (over != null) continuation.resumeWithException(over)
        // The attempt may have become possible in between.
        ring()
    }

    /** Tries again for all callers, in the order of their calls. */
    fun settle() {
        val waiting = synchronized(this) { if (all.isEmpty()) return else all.toList() }
        val done = waiting.filterTo(HashSet()) { it.settle() }
        synchronized(this) { all -= done }
    }

    fun end(reason: Throwable) {
        val waiting = synchronized(this) {
            ended = reason
            all.toList().also { all.clear() }
        }
        waiting.forEach { it.end(reason) }
    }

    private class Waiter<T : Any>(private val attempt: () -> T?, private val continuation: CancellableContinuation<T>) {
        fun settle(): Boolean {
            if (!continuation.isActive) return true
            val result = try {
                attempt() ?: return false
            } catch (failure: TeatimeException) {
                continuation.resumeWithException(failure)
                return true
            }
            continuation.resume(result)
            return true
        }

        fun end(reason: Throwable) = continuation.resumeWithException(reason)
    }
}
