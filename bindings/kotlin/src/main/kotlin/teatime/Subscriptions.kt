package teatime

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ClosedSendChannelException
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.consumeAsFlow
import teatime.ffi.Event as NativeEvent
import teatime.ffi.Session as NativeSession

/** The subscriptions of a session, with the channel for the events of each. */
internal class Subscriptions(private val native: NativeSession) {
    private val channels = HashMap<ULong, Channel<Event>>()
    private var ended = false

    /** Subscribes now. The subscription ends after the collection of its flow, or with the session. */
    fun open(scope: String, event: String, handling: Handling): OpenSubscription {
        val latest = handling == Handling.LATEST
        val channel = Channel<Event>(if (latest) Channel.CONFLATED else MOST_WAITING)
        // Locked against the pulling, so that every event from now on finds the channel.
        val id = synchronized(this) {
            if (ended) throw TeatimeException.over()
            call { native.subscribe(scope, event, latest) }.also { channels[it] = channel }
        }
        channel.invokeOnClose { close(id) }
        return OpenSubscription(channel)
    }

    private fun close(id: ULong) {
        synchronized(this) { channels.remove(id) }
        // Fails if the session was freed, and then the subscription has ended.
        quietly { call { native.unsubscribe(id) } }
    }

    /** Pulls events, locked against subscribing. */
    fun <T> pulling(pull: () -> T): T = synchronized(this) { pull() }

    /** Delivers an event. Waits while the collector is too far behind; the session stands still meanwhile. */
    suspend fun deliver(event: NativeEvent.Published) {
        // Absent if the subscription has just ended.
        val channel = synchronized(this) { channels[event.subscription] } ?: return
        val delivered = Event(event.scope, event.event, event.model?.let(::ModelId), event.payload)
        val sent = channel.trySend(delivered)
        if (sent.isSuccess || sent.isClosed) return
        try {
            channel.send(delivered)
        } catch (_: ClosedSendChannelException) {
            // The subscription has ended meanwhile.
        }
    }

    /** Ends all flows after the events that already wait in them. */
    fun end() {
        val open = synchronized(this) {
            ended = true
            channels.values.toList()
        }
        open.forEach { it.close() }
    }

    private companion object {
        /** Events that may wait for a collector: the same number that may wait in the library. */
        const val MOST_WAITING = 65_536
    }
}

/** A subscription and the flow of its events. */
internal class OpenSubscription(private val channel: Channel<Event>) {
    val flow: Flow<Event> = channel.consumeAsFlow()

    /** Ends the flow after the events that already wait in it. */
    fun end() {
        channel.close()
    }
}

/** Runs a block whose failure does not matter. */
internal inline fun quietly(block: () -> Unit) {
    try {
        block()
    } catch (_: TeatimeException) {
        // Ignored on purpose.
    }
}
