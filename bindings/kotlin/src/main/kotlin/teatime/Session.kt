package teatime

import java.io.File
import kotlin.coroutines.CoroutineContext
import kotlin.time.Duration
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.mapNotNull
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.serializer
import teatime.ffi.Session as NativeSession
import teatime.ffi.TeaFormat

/**
 * A session that this client has joined or is joining.
 *
 * Any thread may call all members. Calls that read the model take turns with its simulation: they may wait for about
 * a frame. After the app has left, every call fails with [ErrorCode.OVER]; after a failure, with its reason. [id],
 * [viewId], [badge] and the flows stay valid.
 */
public class Session private constructor(native: NativeSession, private val construct: View.() -> Unit) : AutoCloseable {
    private val driver: Driver = Driver(native) { context -> build(context) }
    private val absence = Absence()

    /** The id of the session as hexadecimal text, the same for all participants. */
    public val id: String = call { native.sessionId() }

    /** The id of this view. It stays the same over reconnects. */
    public val viewId: ViewId = ViewId(call { native.viewId() })

    /** The badge of the session, such as `#a0b1c2/#d3e4f5 tokim`: people recognize the session by it. */
    public val badge: String = call { native.badge() }

    /** The state of the connection to the reflector. */
    public val connection: StateFlow<ConnectionState> get() = driver.connection

    /** The progress of the catch-up, from 0 to 1. */
    public val progress: StateFlow<Float> get() = driver.progress

    private fun build(context: CoroutineContext): View =
        View.of(this, driver.subscriptions, context).also { view ->
            try {
                view.construct()
            } catch (failure: Throwable) {
                view.end()
                throw failure
            }
        }

    private fun launch(scope: CoroutineScope) {
        // Atomic, because it must free the session even if the scope is already cancelled.
        @OptIn(DelicateCoroutinesApi::class)
        scope.launch(Driver.dispatcher, CoroutineStart.ATOMIC) { driver.run() }
    }

    /**
     * Waits until the app has built the first view.
     *
     * @throws TeatimeException why the session failed, such as [ErrorCode.BAD_SNAPSHOT]. Exceptions of the
     *   function that builds the view pass through
     */
    public suspend fun ready(): Unit = driver.ready.await()

    /**
     * Subscribes to a topic. `*` matches every scope or event.
     *
     * The subscription begins with this call. Collect the flow once: the subscription ends with the collection, and
     * the flow completes with the session. Collect every flow, because the session stands still while 65,536 events
     * wait in one.
     */
    public fun events(scope: String, event: String, handling: Handling = Handling.QUEUED): Flow<Event> {
        driver.endReason()?.let { throw it }
        return driver.subscriptions.open(scope, event, handling).flow
    }

    /**
     * The session's notices from this call on. The first call also gets earlier notices. Collect the flow once; it
     * completes with the session. At most the newest 1024 notices wait for the collector.
     */
    public fun notices(): Flow<Notice> = driver.notices.open()

    /**
     * Sends an event to the models of all participants. Models change only when the event comes back from the
     * reflector. During a short outage the event waits; for longer ones see [awaitPublish].
     *
     * @throws TeatimeException.NotSent after [ErrorCode.TOO_FAST] and [ErrorCode.NOT_JOINED] try again later;
     *   after [ErrorCode.TOO_LARGE] do not
     */
    public inline fun <reified T> publish(scope: String, event: String, value: T): Receipt =
        publishJson(scope, event, toJson(value))

    /** The same with a payload that is already JSON, or without a payload. */
    public fun publishJson(scope: String, event: String, payload: JsonElement = JsonNull): Receipt {
        val receipt = lend(payload) { bytes -> driver.ask { it.publish(scope, event, bytes, TeaFormat.JSON) } }
        // A step may be due earlier now, to send the event.
        driver.ring()
        return Receipt(receipt)
    }

    /** The same, but waits instead of failing with [ErrorCode.TOO_FAST] or [ErrorCode.NOT_JOINED]. */
    public suspend fun awaitPublish(scope: String, event: String, payload: JsonElement = JsonNull): Receipt =
        driver.waiters.until {
            try {
                publishJson(scope, event, payload)
            } catch (early: TeatimeException.NotSent) {
                if (early.code != ErrorCode.TOO_FAST && early.code != ErrorCode.NOT_JOINED) throw early
                null
            }
        }

    /** Waits until this participant's model has handled a published event. */
    public suspend fun applied(receipt: Receipt) {
        driver.waiters.until { if (driver.ask { it.isApplied(receipt.number) }) Unit else null }
    }

    /** Sends an event to the subscriptions of this session object only; it never leaves the process. */
    public inline fun <reified T> publishToViews(scope: String, event: String, value: T): Unit =
        publishJsonToViews(scope, event, toJson(value))

    /** The same with a payload that is already JSON, or without a payload. */
    public fun publishJsonToViews(scope: String, event: String, payload: JsonElement = JsonNull) {
        lend(payload) { bytes -> driver.ask { it.publishToViews(scope, event, bytes, TeaFormat.JSON) } }
        driver.ring()
    }

    /**
     * Shows something of this participant to the others: a cursor, a selection, that its user types. The newest counts,
     * until this participant exits. No model sees it, nothing of it is stored, and it has no place in the order. May be
     * called for every movement, and before the session is joined: some 30 a second are sent.
     *
     * @throws TeatimeException.NotSent [ErrorCode.TOO_LARGE] if the value has more than 1 KiB. What was shown before is
     *   still shown then
     */
    public inline fun <reified T> setPresence(value: T): Unit = setPresenceJson(toJson(value))

    /** The same with a value that is already JSON. */
    public fun setPresenceJson(value: JsonElement) {
        lend(value) { bytes -> driver.ask { it.setPresence(bytes, TeaFormat.JSON) } }
        // A step may be due earlier now, to send it.
        driver.ring()
    }

    /** Shows nothing of this participant any longer. */
    public fun clearPresence() {
        driver.ask { it.clearPresence() }
        driver.ring()
    }

    /** What the other participants show of themselves, now. What is not a [T] is left out. */
    public inline fun <reified T> presences(): Map<ViewId, T> = presences(serializer<T>())

    /**
     * What the other participants show of themselves: now, and after each change. A slow collector gets the newest only.
     * The flow completes with the session.
     */
    public inline fun <reified T> presenceUpdates(): Flow<Map<ViewId, T>> = presenceUpdates(serializer<T>())

    @PublishedApi
    internal fun <T> presences(serializer: KSerializer<T>): Map<ViewId, T> = buildMap {
        for (presence in driver.ask { it.presences(TeaFormat.JSON) }) {
            val value = runCatching { decode(serializer, presence.data.decodeToString()) }
            value.onSuccess { put(ViewId(presence.view), it) }
        }
    }

    @PublishedApi
    internal fun <T> presenceUpdates(serializer: KSerializer<T>): Flow<Map<ViewId, T>> =
        driver.presenceChanges.takeWhile { it >= 0 }.mapNotNull {
            // The session may have ended since.
            try { presences(serializer) } catch (_: TeatimeException) { null }
        }

    /**
     * Calls a named query of a model. Queries never change the model.
     *
     * @throws TeatimeException [ErrorCode.NOT_JOINED] before there is a model, [ErrorCode.UNKNOWN_QUERY] and
     *   other codes of its hundred, [ErrorCode.WRONG_TYPE] if the answer is of another type
     */
    public inline fun <reified T> read(
        query: String,
        argument: JsonElement = JsonNull,
        model: ModelId = ModelId.ROOT,
    ): T = decode(serializer<T>(), readText(query, argument, model))

    /** The same with the answer as JSON. */
    public fun readJson(query: String, argument: JsonElement = JsonNull, model: ModelId = ModelId.ROOT): JsonElement =
        read(query, argument, model)

    @PublishedApi
    internal fun readText(query: String, argument: JsonElement, model: ModelId): String =
        lend(argument) { bytes -> driver.ask { it.query(model.number, query, bytes, TeaFormat.JSON) } }.decodeToString()

    /**
     * Stores bytes as a blob beside the session. Returns its handle, for models and events. Equal content is stored
     * once. The transfer continues through short outages, and after the app has left the session. Cancelling the
     * caller cancels it; the next attempt does not send again what has arrived.
     *
     * @param progress called on a background thread, at most about ten times a second
     * @throws TeatimeException.TransferFailed [ErrorCode.BLOB_TOO_LARGE] before anything is sent, and other codes of
     *   its hundred
     * @throws TeatimeException.Disconnected [ErrorCode.UNREACHABLE], [ErrorCode.NOT_STORED]
     */
    public suspend fun store(content: ByteArray, progress: (TransferProgress) -> Unit = {}): BlobHandle =
        handle(driver.transfer(progress) { native -> lend(content) { native.storeBytes(it) } })

    /** The same with a file. Only a few pieces of it are in memory at a time. [ErrorCode.IO] if reading it fails. */
    public suspend fun store(file: File, progress: (TransferProgress) -> Unit = {}): BlobHandle =
        handle(driver.transfer(progress) { it.storeFile(file.path) })

    private fun handle(text: ByteArray) = BlobHandle(text.decodeToString())

    /**
     * Fetches a whole blob. The library checks all bytes, and never returns wrong ones.
     *
     * @param progress called on a background thread, at most about ten times a second
     * @throws TeatimeException.TransferFailed [ErrorCode.UNKNOWN_BLOB], [ErrorCode.OTHER_SESSION],
     *   [ErrorCode.WRONG_BYTES]
     * @throws TeatimeException.Disconnected [ErrorCode.UNREACHABLE]
     */
    public suspend fun fetch(blob: BlobHandle, progress: (TransferProgress) -> Unit = {}): ByteArray =
        driver.transfer(progress) { it.fetchBytes(blob.text) }

    /**
     * The same into a file. At the end the file is complete, or unchanged. [ErrorCode.IO] if writing it fails.
     *
     * If the transfer ends early or is cancelled, the pieces that have arrived stay beside the file, in a file with
     * its name, some digits and `.part`. A later fetch of the same blob into the same file continues there; a
     * concurrent one waits. The library removes the partial file when it can never be continued. The app removes the
     * files `FILE.*.part` of blobs that it no longer needs.
     */
    public suspend fun fetch(blob: BlobHandle, file: File, progress: (TransferProgress) -> Unit = {}) {
        driver.transfer(progress) { it.fetchFile(blob.text, file.path) }
    }

    /**
     * Whether a handle belongs to this session's app, room and password. Does not use the network. With a password
     * the first use of blobs takes about 30 ms, and half a second on an old phone.
     */
    public fun owns(blob: BlobHandle): Boolean = driver.ask { it.ownsBlob(blob.text) }

    /** The model with a well-known name, or null. */
    public fun wellKnown(name: String): ModelId? = driver.ask { it.wellKnown(name) }?.let(::ModelId)

    internal val isOver: Boolean get() = driver.endReason() != null

    /** The code with which every call fails after the end of the session; null while it goes on. */
    internal val endCode: ErrorCode? get() = driver.endCode()

    /** True also while the connection is broken; false when the session is over. */
    internal val hasModel: Boolean
        get() = try {
            driver.ask { it.views() }
            true
        } catch (_: TeatimeException) {
            false
        }

    /** The current views, in the order of their joins. */
    public val views: List<ViewId> get() = driver.ask { it.views() }.map(::ViewId)

    /** Asks for a vote of all participants on their state hash. [notices] has the results. */
    public fun requestVote() {
        driver.ask { it.requestVote() }
        driver.ring()
    }

    /** The hash of this participant's current state, as hexadecimal text. */
    public fun stateHash(): String = driver.ask { it.stateHash() }

    /** Whether the model is up to date with the reflector. */
    public val isSynced: Boolean get() = driver.ask { it.isSynced() }

    /**
     * Whether the root model has persisted data that the reflector has not stored yet. A later version of the app
     * would begin with the data stored before. The reflector stores the new data within seconds, and
     * [Notice.Persisted] or [Notice.NotPersisted] follows. False before there is a model.
     */
    public val hasUnpersisted: Boolean get() = driver.ask { it.hasUnpersisted() }

    /**
     * The newest version of the app that is or was in use in this room, if it is newer than this one.
     * [Notice.NewerVersion] announces a change.
     */
    public val newerVersion: UInt? get() = driver.ask { it.newerVersion() }

    /** The session time that the simulation has reached. */
    public val now: Duration get() = duration(driver.ask { it.nowUs() })

    /** The newest session time from the reflector. */
    public val externalNow: Duration get() = duration(driver.ask { it.externalNowUs() })

    /** An estimate of the current session time. */
    public val extrapolatedNow: Duration get() = duration(driver.ask { it.extrapolatedNowUs() })

    /** 64 random bits of this view, independent of the models' random numbers. */
    public fun random(): Long = driver.ask { it.randomU64() }.toLong()

    /** Statistics of the session. */
    public fun statistics(): Statistics = statistics(driver.ask { it.stats() })

    /** Makes a new connection immediately, when the app knows that the line is dead. */
    public fun reconnect(): Unit = driver.ask { it.reconnect() }

    /**
     * Call this when the app goes to the background, where the system may suspend it, and [onForeground] when it is back.
     *
     * @param leaveAfter when the other participants see this one leave, whether the app still runs then or not; an hour
     *   at most by default. Without it, the reflector notices the absence by silence, within a minute. The message leaves
     *   on another thread, within milliseconds; without a working connection, the reflector's rejoin limit counts.
     */
    public fun onBackground(leaveAfter: Duration? = null) {
        absence.begin(isLeaving = leaveAfter != null)
        if (leaveAfter != null) {
            val milliseconds = leaveAfter.inWholeMilliseconds.coerceIn(0, UInt.MAX_VALUE.toLong())
            quietly { driver.ask { it.leaveAfter(milliseconds.toUInt()) } }
        }
    }

    /**
     * Call this when the app is back in the foreground. After more than two seconds the connection may be dead
     * unnoticed, so the session makes a new one immediately. The other participants notice nothing if the app was
     * away for less than the reflector's limit of ten seconds, or less than the time given to [onBackground].
     */
    public fun onForeground() {
        if (absence.end()) quietly { reconnect() }
    }

    /**
     * Leaves for good. The other participants see it at once, flows complete, and the session frees its resources.
     * Returns without waiting for that. A second call does nothing.
     */
    public fun leave(): Unit = driver.leave()

    /** The same as [leave]. */
    override fun close(): Unit = leave()

    /** Waits until the session has ended and has freed its resources. */
    public suspend fun awaitEnd(): Unit = driver.ended.await()

    /** Calls [run] on any thread after the session has freed its resources. */
    internal fun onEnd(run: () -> Unit) {
        driver.ended.invokeOnCompletion { run() }
    }

    /** Joins sessions. */
    public companion object {
        /**
         * Joins a session. Returns when the app has built its view.
         *
         * The session calls [view] on a background thread, when the model has caught up and has processed this
         * view's own join. The model stands still until [view] returns, so that it misses nothing: it reads the
         * model, subscribes by [View.events], and launches coroutines that end with the view. It must be quick. After
         * an outage that was too long to continue, the session calls it again for a new view.
         *
         * Without a [scope] the session lasts until the app leaves. With one it is a child of the scope's job:
         * cancelling the scope leaves the session, and the scope waits for its end. Cancelling the waiting caller
         * leaves, too. If no reflector can be reached this waits without limit: see [start], or use `withTimeout`.
         *
         * @throws TeatimeException which option is invalid, or why the reflector refused the client, such as
         *   [ErrorCode.BAD_SNAPSHOT]. Exceptions of [view] pass through
         */
        public suspend fun join(
            options: JoinOptions,
            scope: CoroutineScope? = null,
            view: View.() -> Unit = {},
        ): Session {
            var started: Session? = null
            try {
                // On a background thread, because the first call loads the library.
                val session = withContext(Driver.dispatcher) { start(options, scope, view).also { started = it } }
                session.ready()
                return session
            } catch (failure: Throwable) {
                started?.close()
                throw failure
            }
        }

        /**
         * The same, but returns immediately. [connection] has the state, and [ready] waits for the view. With a
         * password this derives keys for about 30 ms, and for half a second on an old phone; do not call it on a
         * main thread then.
         *
         * @throws TeatimeException which option is invalid
         */
        @OptIn(DelicateCoroutinesApi::class)
        public fun start(options: JoinOptions, scope: CoroutineScope? = null, view: View.() -> Unit = {}): Session {
            val native = firstCall { NativeSession.join(options.app.native, options.native()) }
            return Session(native, view).apply { launch(scope ?: GlobalScope) }
        }
    }
}
