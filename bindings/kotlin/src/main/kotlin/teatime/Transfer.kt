package teatime

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.withContext
import teatime.ffi.Session as NativeSession
import teatime.ffi.Transfer as NativeTransfer

/**
 * The progress of a transfer.
 *
 * @property done bytes of the blob that have been transferred
 * @property total size of the blob in bytes; 0 before the transfer has begun
 */
public data class TransferProgress(val done: Long, val total: Long) {
    /** From 0 to 1. */
    public val fraction: Float get() = if (total == 0L) 0f else (done.toDouble() / total).toFloat()
}

/**
 * Starts a transfer and waits for its end. It runs on another thread than the caller's, because deriving keys and
 * copying take time.
 */
internal suspend fun Driver.transfer(
    progress: (TransferProgress) -> Unit,
    start: (NativeSession) -> NativeTransfer,
): ByteArray = withContext(Driver.dispatcher) {
    val bell = Channel<Unit>(Channel.CONFLATED)
    val transfer = ask(start)
    try {
        call { transfer.setWaker(Driver.Bell(bell)) }
        var last = TransferProgress(0, 0)
        var result: ByteArray? = null
        while (result == null) {
            bell.receive()
            result = call { transfer.result() }
            val now = call { transfer.progress() }.run { TransferProgress(done.toLong(), total.toLong()) }
            if (now != last) progress(now)
            last = now
        }
        result
    } finally {
        // Cancels the transfer if it is still running, and ends all callbacks.
        transfer.destroy()
    }
}
