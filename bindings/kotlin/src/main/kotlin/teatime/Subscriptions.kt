package teatime

import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ClosedSendChannelException
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.consumeAsFlow
import teatime.ffi.Event as NativeEvent
import teatime.ffi.Session as NativeSession

/** The subscriptions of a session, and where their events go. */
internal class Subscriptions(private val native: NativeSession) {
    private val channels = HashMap<ULong, Channel<Event>>()
    private var ended = false

    /** Subscribes now; the subscription ends when somebody has collected, or with the session. */
    fun open(scope: String, event: String, handling: Handling): OpenSubscription {
        val latest = handling == Handling.LATEST
        val channel = Channel<Event>(if (latest) Channel.CONFLATED else MOST_WAITING)
        // In one turn with the pulling: what is published from now on finds the channel.
        val id = synchronized(this) {
            if (ended) throw TeatimeException.over()
            call { native.subscribe(scope, event, latest) }.also { channels[it] = channel }
        }
        channel.invokeOnClose { close(id) }
        return OpenSubscription(channel)
    }

    private fun close(id: ULong) {
        synchronized(this) { channels.remove(id) }
        // When the session was freed there is nothing left to end.
        quietly { call { native.unsubscribe(id) } }
    }

    /** Pulls in one turn with subscribing. */
    fun <T> pulling(pull: () -> T): T = synchronized(this) { pull() }

    /** Waits while too many events wait to be collected: then the session stands still, too. */
    suspend fun deliver(event: NativeEvent.Published) {
        // Who has just stopped listening is not there any more.
        val channel = synchronized(this) { channels[event.subscription] } ?: return
        val told = Event(event.scope, event.event, event.`data`)
        val sent = channel.trySend(told)
        if (sent.isSuccess || sent.isClosed) return
        try {
            channel.send(told)
        } catch (_: ClosedSendChannelException) {
            // He has stopped meanwhile.
        }
    }

    /** Ends all flows: what they have is still collected. */
    fun end() {
        val open = synchronized(this) {
            ended = true
            channels.values.toList()
        }
        open.forEach { it.close() }
    }

    private companion object {
        /** Events that may wait to be collected: as many as the library lets wait to be pulled. */
        const val MOST_WAITING = 65_536
    }
}

/** A subscription whose events wait to be collected. */
internal class OpenSubscription(private val channel: Channel<Event>) {
    val flow: Flow<Event> = channel.consumeAsFlow()

    /** Ends it; what has come is still collected. */
    fun end() {
        channel.close()
    }
}

/** Does what does not matter if it fails. */
internal inline fun quietly(block: () -> Unit) {
    try {
        block()
    } catch (_: TeatimeException) {
        // That is what "quietly" means.
    }
}
