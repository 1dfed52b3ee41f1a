package teatime

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.consumeAsFlow

/** Passes the notices of a session to its collectors. */
internal class Notices {
    private val channels = LinkedHashSet<Channel<Notice>>()

    /** Notices from before the first flow was opened; null from then on. */
    private var early: ArrayDeque<Notice>? = ArrayDeque()
    private var ended = false

    fun open(): Flow<Notice> {
        val channel = Channel<Notice>(MOST_WAITING, BufferOverflow.DROP_OLDEST)
        synchronized(this) {
            early?.forEach { channel.trySend(it) }
            early = null
            if (ended) channel.close() else channels += channel
        }
        channel.invokeOnClose { synchronized(this) { channels -= channel } }
        return channel.consumeAsFlow()
    }

    fun send(notice: Notice) {
        synchronized(this) {
            early?.run {
                if (size == MOST_EARLY) removeFirst()
                addLast(notice)
            }
            channels.toList()
        }.forEach { it.trySend(notice) }
    }

    fun end() {
        synchronized(this) {
            ended = true
            channels.toList()
        }.forEach { it.close() }
    }

    private companion object {
        /** Enough for a join with many failed attempts. Bounded, because an app may never open a flow. */
        const val MOST_EARLY = 64

        /** Notices that may wait for a collector. Beyond that the oldest are dropped. */
        const val MOST_WAITING = 1024
    }
}
