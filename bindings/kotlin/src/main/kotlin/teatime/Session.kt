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
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.serializer
import teatime.ffi.Session as NativeSession
import teatime.ffi.TeaFormat

/**
 * A session that has been joined, or is on the way to it.
 *
 * All members may be called from any thread. Calls that ask the model take turns with its simulation: they
 * may wait for it about as long as a frame of the screen lasts. Every call fails with [ErrorCode.OVER] after
 * the session was left, or with the reason if it has failed; [id], [viewId], [badge] and the flows stay.
 */
public class Session private constructor(native: NativeSession, private val construct: View.() -> Unit) : AutoCloseable {
    private val driver: Driver = Driver(native) { context -> build(context) }
    private val absence = Absence()

    /** Identity of the session, as hexadecimal text: the same for all who are in it. */
    public val id: String = call { native.sessionId() }

    /** Identity of this view; it stays the same over reconnects. */
    public val viewId: ViewId = ViewId(call { native.viewId() })

    /** The badge by which people recognize the session, such as `#a0b1c2/#d3e4f5 tokim`. */
    public val badge: String = call { native.badge() }

    /** How the session stands with its reflector. */
    public val connection: StateFlow<ConnectionState> get() = driver.connection

    /** How far the catch-up is, from 0 to 1. */
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
        // Even in a scope that is cancelled already it must run as far as to free the session.
        @OptIn(DelicateCoroutinesApi::class)
        scope.launch(Driver.dispatcher, CoroutineStart.ATOMIC) { driver.run() }
    }

    /**
     * Waits for the first view: returns when the function that builds it has returned.
     *
     * @throws TeatimeException why there will be none, such as [ErrorCode.WRONG_PASSWORD]; an exception of
     *   the function that builds the view comes as it is
     */
    public suspend fun ready(): Unit = driver.ready.await()

    /**
     * Listens to a topic from the moment of this call; `*` stands for every scope or event.
     *
     * The flow can be collected once. The subscription ends when its collection does, and the flow completes
     * with the session. When 65,536 events wait to be collected the session stands still until one is, so collect
     * what you subscribe to.
     */
    public fun events(scope: String, event: String, handling: Handling = Handling.QUEUED): Flow<Event> {
        driver.end()?.let { throw it }
        return driver.subscriptions.open(scope, event, handling).flow
    }

    /**
     * What the session tells about itself from the moment of this call; the first to call also gets what was
     * told before. The flow can be collected once and completes with the session. The newest 1024 wait to be
     * collected.
     */
    public fun notices(): Flow<Notice> = driver.notices.open()

    /**
     * Sends an event to the models of all participants. It changes nothing before it has come back from the
     * reflector. During an outage it waits; for longer ones see [awaitPublish].
     *
     * @throws TeatimeException.NotSent [ErrorCode.TOO_FAST] and [ErrorCode.NOT_JOINED] mean later,
     *   [ErrorCode.TOO_LARGE] means never
     */
    public inline fun <reified T> publish(scope: String, event: String, value: T): Receipt =
        publishJson(scope, event, toJson(value))

    /** The same with data that is JSON already, or with none. */
    public fun publishJson(scope: String, event: String, data: JsonElement = JsonNull): Receipt {
        val receipt = lend(data) { bytes -> driver.ask { it.publish(scope, event, bytes, TeaFormat.JSON) } }
        // It may have to wait for its turn to be sent.
        driver.ring()
        return Receipt(receipt)
    }

    /** The same, except that it waits as long as it is too early for it. */
    public suspend fun awaitPublish(scope: String, event: String, data: JsonElement = JsonNull): Receipt =
        driver.waiters.until {
            try {
                publishJson(scope, event, data)
            } catch (early: TeatimeException.NotSent) {
                if (early.code != ErrorCode.TOO_FAST && early.code != ErrorCode.NOT_JOINED) throw early
                null
            }
        }

    /** Waits until this participant's model has handled what was published. */
    public suspend fun applied(receipt: Receipt) {
        driver.waiters.until { if (driver.ask { it.isApplied(receipt.number) }) Unit else null }
    }

    /** Sends an event to the subscriptions of this session object only; it never leaves the process. */
    public inline fun <reified T> publishToViews(scope: String, event: String, value: T): Unit =
        publishJsonToViews(scope, event, toJson(value))

    /** The same with data that is JSON already, or with none. */
    public fun publishJsonToViews(scope: String, event: String, data: JsonElement = JsonNull) {
        lend(data) { bytes -> driver.ask { it.publishToViews(scope, event, bytes, TeaFormat.JSON) } }
        driver.ring()
    }

    /**
     * Asks a named query of a model. That never changes it.
     *
     * @throws TeatimeException [ErrorCode.NOT_JOINED] while there is no model, [ErrorCode.UNKNOWN_QUERY] and
     *   others of its hundred, [ErrorCode.WRONG_TYPE] if the answer is something else
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
     * Stores bytes beside the session, and returns what stands for them in models and events. It goes on through
     * short outages, also when the session is left meanwhile; equal content is stored once. Cancelling the caller
     * ends it; what has arrived by then is not sent again the next time.
     *
     * @param progress told how far it is, on a background thread, at most some ten times a second
     * @throws TeatimeException.TransferFailed [ErrorCode.BLOB_TOO_LARGE] before anything is sent, and others of
     *   its hundred
     * @throws TeatimeException.Disconnected [ErrorCode.UNREACHABLE], [ErrorCode.NOT_STORED]
     */
    public suspend fun store(content: ByteArray, progress: (TransferProgress) -> Unit = {}): BlobHandle =
        handle(driver.transfer(progress) { native -> lend(content) { native.storeBytes(it) } })

    /** The same with a file, of which only a few pieces are in memory at a time; [ErrorCode.IO] if it cannot be read. */
    public suspend fun store(file: File, progress: (TransferProgress) -> Unit = {}): BlobHandle =
        handle(driver.transfer(progress) { it.storeFile(file.path) })

    private fun handle(text: ByteArray) = BlobHandle(text.decodeToString())

    /**
     * Fetches a blob whole. Wrong bytes are never given out.
     *
     * @param progress told how far it is, on a background thread, at most some ten times a second
     * @throws TeatimeException.TransferFailed [ErrorCode.UNKNOWN_BLOB], [ErrorCode.OTHER_SESSION],
     *   [ErrorCode.WRONG_BYTES]
     * @throws TeatimeException.Disconnected [ErrorCode.UNREACHABLE]
     */
    public suspend fun fetch(blob: BlobHandle, progress: (TransferProgress) -> Unit = {}): ByteArray =
        driver.transfer(progress) { it.fetchBytes(blob.text) }

    /**
     * The same into a file, which is there whole in the end, or as it was before; [ErrorCode.IO] if it cannot be written.
     * What has arrived when it ends early, also when the coroutine is cancelled, stays beside it, in a file of its
     * name, some digits and `.part`: who fetches the same blob into the same file goes on there, or waits while
     * somebody else does that. It is removed if nobody can ever go on; remove the files `FILE.*.part` of blobs that
     * are not wanted any more.
     */
    public suspend fun fetch(blob: BlobHandle, file: File, progress: (TransferProgress) -> Unit = {}) {
        driver.transfer(progress) { it.fetchFile(blob.text, file.path) }
    }

    /**
     * Whether a handle belongs to this session's app and room, and to its password. Nobody is asked. With a
     * password the first use of blobs takes some 30 ms, on an old phone half a second.
     */
    public fun owns(blob: BlobHandle): Boolean = driver.ask { it.ownsBlob(blob.text) }

    /** The model that is known by a name, if there is one. */
    public fun wellKnown(name: String): ModelId? = driver.ask { it.wellKnown(name) }?.let(::ModelId)

    internal val isOver: Boolean get() = driver.end() != null

    /** The code with which every call fails since the session has ended; nothing while it goes on. */
    internal val endCode: ErrorCode? get() = driver.endCode()

    /** Also while the connection is broken; not when the session is over. */
    internal val hasModel: Boolean
        get() = try {
            driver.ask { it.views() }
            true
        } catch (_: TeatimeException) {
            false
        }

    /** The views that there are, in the order in which they came. */
    public val views: List<ViewId> get() = driver.ask { it.views() }.map(::ViewId)

    /** Asks for a vote of all participants on their state: it is told by [notices]. */
    public fun requestVote() {
        driver.ask { it.requestVote() }
        driver.ring()
    }

    /** The hash of this participant's state as it stands, as hexadecimal text. */
    public fun stateHash(): String = driver.ask { it.stateHash() }

    /** Whether the model is up to date with the reflector. */
    public val isSynced: Boolean get() = driver.ask { it.synced() }

    /**
     * Whether the root model has persisted something that the reflector has not stored yet: a later version of the
     * app would begin with what was stored before. It is stored by itself, within seconds; [Notice.Persisted] and
     * [Notice.NotPersisted] tell what becomes of it. False while there is no model.
     */
    public val hasUnpersisted: Boolean get() = driver.ask { it.hasUnpersisted() }

    /**
     * The newest version of the app that is used in this room, or has been, if it is newer than this one.
     * [Notice.NewerVersion] tells when that changes.
     */
    public val newerVersion: UInt? get() = driver.ask { it.newerVersion() }

    /** The session time up to which the model has been simulated. */
    public val now: Duration get() = duration(driver.ask { it.nowUs() })

    /** The newest session time that the reflector has told. */
    public val externalNow: Duration get() = duration(driver.ask { it.externalNowUs() })

    /** An estimate of the session time at this moment. */
    public val extrapolatedNow: Duration get() = duration(driver.ask { it.extrapolatedNowUs() })

    /** 64 random bits of this view, which no model sees. */
    public fun random(): Long = driver.ask { it.randomU64() }.toLong()

    /** How the session does. */
    public fun statistics(): Statistics = statistics(driver.ask { it.stats() })

    /** Makes a new connection at once, for who knows that the line is dead. */
    public fun reconnect(): Unit = driver.ask { it.reconnect() }

    /** Tells that the app went into the background, where it may be put to sleep. */
    public fun onBackground(): Unit = absence.begin()

    /**
     * Tells that the app is back. After more than two seconds the line may be dead without anybody knowing:
     * a new connection is made at once. If the app was away for less than the reflector's limit of ten
     * seconds, the others notice nothing.
     */
    public fun onForeground() {
        if (absence.end()) quietly { reconnect() }
    }

    /**
     * Leaves for good: the others see it at once, flows complete, and what the session holds is freed.
     * Returns without waiting for that. Does nothing the second time.
     */
    public fun leave(): Unit = driver.leave()

    /** The same as [leave]. */
    override fun close(): Unit = leave()

    /** Waits until a session that was left, or has failed, has been freed. */
    public suspend fun awaitEnd(): Unit = driver.ended.await()

    /** Calls back, on any thread, when everything has been freed. */
    internal fun onEnd(run: () -> Unit) {
        driver.ended.invokeOnCompletion { run() }
    }

    /** How to join. */
    public companion object {
        /**
         * Joins a session; returns when the view has been built.
         *
         * [view] is called when the model has caught up and this view's own join has been processed, on a
         * background thread, and the model does not go on before it returns: it reads, subscribes by
         * [View.events], launches coroutines that last as long as the view, and misses nothing. After an
         * outage that was too long to go on it is called again, for a new view. It must be quick.
         *
         * Without a [scope] the session lasts until it is left. Within one it is a child of its job:
         * cancelling the scope leaves it, and the scope waits for it. Cancelling the caller while it waits
         * leaves too. Without a reflector it waits for one for ever: see [start], or use `withTimeout`.
         *
         * @throws TeatimeException what is wrong with the options, or why it was refused, such as
         *   [ErrorCode.WRONG_PASSWORD]; an exception of [view] comes as it is
         */
        public suspend fun join(
            options: JoinOptions,
            scope: CoroutineScope? = null,
            view: View.() -> Unit = {},
        ): Session {
            var started: Session? = null
            try {
                // The first call of all loads the library.
                val session = withContext(Driver.dispatcher) { start(options, scope, view).also { started = it } }
                session.ready()
                return session
            } catch (failure: Throwable) {
                started?.close()
                throw failure
            }
        }

        /**
         * The same, but returns before anything is known: [connection] tells how it goes on, [ready] waits for
         * the view. With a password it takes some 30 ms, on an old phone half a second, to derive the keys: not
         * for a main thread then.
         *
         * @throws TeatimeException what is wrong with the options
         */
        @OptIn(DelicateCoroutinesApi::class)
        public fun start(options: JoinOptions, scope: CoroutineScope? = null, view: View.() -> Unit = {}): Session {
            val native = firstCall { NativeSession.join(options.app.native, options.native()) }
            return Session(native, view).apply { launch(scope ?: GlobalScope) }
        }
    }
}
