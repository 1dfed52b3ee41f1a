package teatime.chat

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonPrimitive
import teatime.ConnectionState
import teatime.ErrorCode
import teatime.Event
import teatime.Notice
import teatime.Receipt
import teatime.Session
import teatime.TeatimeException
import teatime.View
import teatime.ViewId
import teatime.decode
import teatime.toJson

/** A chat room for all front ends: the terminal program and the screen of a phone share it. */
class ChatModel(private val room: Room) {
    private val mutableState = MutableStateFlow(ChatState())
    private val session = CompletableDeferred<Session>()
    private val sending = Mutex()

    /** Delivers updates one at a time. */
    private val turns = Dispatchers.Default.limitedParallelism(1)
    private var deliver: (ChatUpdate) -> Unit = {}

    /** Whether the user types. The newest call counts. */
    private val keys = MutableSharedFlow<Boolean>(replay = 1, onBufferOverflow = BufferOverflow.DROP_OLDEST)

    @Volatile
    private var left = false

    @Volatile
    private var newest: Receipt? = null

    /** Whether there is a view, so that a post belongs to it. */
    private val built = MutableStateFlow(false)

    /** The state for a screen. */
    val state: StateFlow<ChatState> get() = mutableState

    /**
     * Chats until the user leaves, or the session fails. Calls [deliver] for every change, one at a time.
     *
     * @throws TeatimeException if the room's options are invalid
     */
    suspend fun run(deliver: (ChatUpdate) -> Unit = {}) = withContext(turns) {
        this@ChatModel.deliver = deliver
        coroutineScope {
            val views = Channel<Built>(Channel.UNLIMITED)
            val joining = Session.start(room.joinOptions(), this) { views.trySend(build()) }
            mutableState.update { it.copy(badge = joining.badge, link = room.link.toString()) }
            session.complete(joining)
            if (left) joining.leave()
            launch { joining.presenceUpdates<ChatPresence>().collect { showTyping(joining, it) } }
            val typing = launch { showKeys(joining) }
            // One flow, so that updates come in the order of the changes.
            joining.notices().collect { notice ->
                when (notice) {
                    is Notice.ViewReady -> show(joining, views.receive())
                    is Notice.ViewLost -> built.value = false
                    is Notice.Connection -> {
                        mutableState.update { it.copy(connection = notice.state) }
                        deliver(ChatUpdate.Connection(notice.state))
                    }
                    is Notice.State -> deliver(ChatUpdate.State(notice))
                    is Notice.Verdict -> deliver(ChatUpdate.Verdict(notice))
                    is Notice.Fault -> deliver(ChatUpdate.Failure(ErrorCode.FAULT.name, notice.message))
                    is Notice.Diverged -> {
                        deliver(ChatUpdate.Diverged(notice))
                        notice.message?.let { deliver(ChatUpdate.Failure(ErrorCode.IO.name, it)) }
                    }
                    is Notice.NewerVersion -> deliver(ChatUpdate.NewerVersion(notice))
                    is Notice.OtherPassword -> deliver(ChatUpdate.OtherPassword(notice))
                    is Notice.NotPersisted -> deliver(ChatUpdate.NotPersisted(notice))
                    is Notice.Unconfirmed -> deliver(ChatUpdate.Unconfirmed(notice))
                    is Notice.Disagreement -> deliver(ChatUpdate.Disagreement(notice))
                    is Notice.Alarm -> deliver(ChatUpdate.Alarm(notice))
                    is Notice.Synced, is Notice.Held, is Notice.Persisted -> {}
                }
            }
            typing.cancel()
        }
    }

    /** The first content of a view: the model's state when it has processed the view's own join. */
    private class Built(
        val shown: History,
        val info: ViewInfo,
        val history: Flow<Event>,
        val viewInfo: Flow<Event>,
    )

    private fun View.build(): Built {
        val shown = History(session.read("history"), session.read("lines"))
        val info = session.info()
        // Posts of participants who have left are not for a user who comes alone.
        if (info.participants == 1 && shown.lines.none { it.viewId == session.viewId }) {
            // If sending fails, no other participant is there for whom the reset matters.
            quietly { newest = session.publish("input", "reset", "for new participants") }
        }
        return Built(shown, info, events("history", "refresh"), events("viewInfo", "refresh"))
    }

    /** Shows a new view, and its changes until the model is lost and the flows end. */
    private fun CoroutineScope.show(session: Session, view: Built) {
        val new = view.shown.unseen(position.value.history)
        set(view.shown.lines)
        set(view.info)
        deliver(ChatUpdate.Joined(session.id, session.viewId, state.value))
        deliver(ChatUpdate.History(view.shown.lines, new))
        deliver(ChatUpdate.ViewInfo(view.info))
        position.update { Position(it.view + 1, view.shown) }
        built.value = true
        launch { view.history.collect { take(it.decode<Change>()) } }
        launch { view.viewInfo.collect { showInfo(session) } }
    }

    private fun take(change: Change) {
        val now = position.value.history + change
        set(now.lines)
        deliver(ChatUpdate.History(now.lines, listOf(change.line)))
        position.update { it.copy(history = now) }
    }

    private fun showInfo(session: Session) = quietly {
        val info = session.info()
        set(info)
        deliver(ChatUpdate.ViewInfo(info))
    }

    private fun showTyping(session: Session, shown: Map<ViewId, ChatPresence>) {
        val views = shown.filterValues { it.typing }.keys
        val typing = views.mapNotNull { view -> runCatching { session.nickname(view) }.getOrNull() }.sorted()
        if (typing == state.value.typing) return
        mutableState.update { it.copy(typing = typing) }
        deliver(ChatUpdate.Typing(typing))
    }

    /** Shows the others whether this user types, until the session is over. */
    private suspend fun showKeys(session: Session) {
        var shows = false
        keys.collectLatest { typing ->
            if (typing) {
                shows = true
                quietly { session.setPresence(ChatPresence(typing = true)) }
                delay(TYPING)
            }
            if (shows) quietly { session.clearPresence() }
            shows = false
        }
    }

    private fun set(lines: List<Line>) = mutableState.update { it.copy(lines = lines) }

    private fun set(info: ViewInfo) =
        mutableState.update { it.copy(nickname = info.nickname, participants = info.participants) }

    private fun Session.info() = ViewInfo(
        nickname = nickname(viewId).orEmpty(),
        participants = read("participants"),
    )

    private fun Session.nickname(view: ViewId): String? = read("nickname", JsonPrimitive(view.hex))

    /** The user types, or has stopped. The others see it until the next post, or for some seconds. */
    fun setTyping(typing: Boolean) {
        keys.tryEmit(typing)
    }

    /**
     * Sends a typed line. Exactly `/reset` resets the chat; every other line is a post. Returns when the event is on
     * its way. Events are sent in the order of the calls.
     *
     * @throws TeatimeException why the event can never be sent
     */
    suspend fun say(text: String) = if (text == "/reset") reset() else post(text)

    /** Sends a post. */
    suspend fun post(text: String) {
        setTyping(false)
        send("newPost", toJson(Post(text)))
    }

    /** Clears the chat for all participants. */
    suspend fun reset() = send("reset", JsonPrimitive("at user request"))

    private suspend fun send(event: String, payload: JsonElement) = sending.withLock {
        val session = awaitView()
        newest = session.awaitPublish("input", event, payload)
    }

    /** Asks for a vote of all participants on their state. */
    suspend fun vote() = sending.withLock {
        val session = awaitView()
        while (!tryVote(session)) session.connection.first { it == ConnectionState.Live }
    }

    private suspend fun tryVote(session: Session): Boolean = try {
        session.requestVote()
        true
    } catch (early: TeatimeException.NotSent) {
        if (early.code != ErrorCode.NOT_JOINED) throw early
        // Waits until the session announces the lost connection.
        session.connection.first { it != ConnectionState.Live }
        false
    }

    /** Waits for a view, and returns the session. Fails with the session. */
    private suspend fun awaitView(): Session {
        val session = session.await()
        session.ready()
        // If the session is over, the caller's next call of it fails with the reason.
        combine(built, session.connection) { built, connection -> built || connection.isOver() }.first { it }
        return session
    }

    /** Waits until all events that were sent have come back, and all updates have been delivered. */
    suspend fun settle() {
        val session = awaitView()
        newest?.let { session.applied(it) }
        val view = position.value.view
        var last = 0L
        quietly { last = session.read("lines") }
        // The events of the last changes may still wait for their turn.
        combine(position, session.connection) { now, connection ->
            now.view != view || now.history.last >= last || connection.isOver()
        }.first { it }
    }

    /** How much has been shown: the history, and how many views there have been. */
    private data class Position(val view: Int, val history: History)

    private val position = MutableStateFlow(Position(0, History()))

    /** Call this when the app goes to the background. */
    fun onBackground() = withSession { it.onBackground() }

    /** Call this when the app is back in the foreground. */
    fun onForeground() = withSession { it.onForeground() }

    /** Leaves. [run] returns afterwards. */
    fun leave() {
        left = true
        withSession { it.leave() }
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    private fun withSession(act: (Session) -> Unit) {
        if (session.isCompleted) act(session.getCompleted())
    }
}

/** A user who has pressed no key for this long is not typing. */
private val TYPING = 5.seconds

private fun ConnectionState.isOver() = this == ConnectionState.Left || this is ConnectionState.Failed

private inline fun quietly(act: () -> Unit) {
    try {
        act()
    } catch (_: TeatimeException) {
        // The model is gone. The next view shows everything again.
    }
}
