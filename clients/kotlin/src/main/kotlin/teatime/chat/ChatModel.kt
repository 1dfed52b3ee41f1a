package teatime.chat

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
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
import teatime.toJson

/** A chat room, for whatever shows it: the same behind the terminal and the screen of a phone. */
class ChatModel(private val room: Room) {
    private val mutableState = MutableStateFlow(ChatState())
    private val session = CompletableDeferred<Session>()
    private val sending = Mutex()

    /** Changes are told one at a time. */
    private val turns = Dispatchers.Default.limitedParallelism(1)
    private var tell: (ChatUpdate) -> Unit = {}


    @Volatile
    private var left = false

    @Volatile
    private var newest: Receipt? = null

    /** Whether there is a view that what is said now belongs to. */
    private val built = MutableStateFlow(false)

    /** All that a screen shows. */
    val state: StateFlow<ChatState> get() = mutableState

    /**
     * Chats until the room was left, or the session has failed. [tell] is called for every single change, one
     * at a time.
     *
     * @throws TeatimeException if the options lead nowhere
     */
    suspend fun run(tell: (ChatUpdate) -> Unit = {}) = withContext(turns) {
        this@ChatModel.tell = tell
        coroutineScope {
            val views = Channel<Built>(Channel.UNLIMITED)
            val joining = Session.start(room.joinOptions(), this) { views.trySend(build()) }
            mutableState.update { it.copy(badge = joining.badge, link = room.link.toString()) }
            session.complete(joining)
            if (left) joining.leave()
            // One flow, so that everything is told in the order in which it happened.
            joining.notices().collect { notice ->
                when (notice) {
                    is Notice.ViewReady -> show(joining, views.receive())
                    is Notice.ViewLost -> built.value = false
                    is Notice.Connection -> {
                        mutableState.update { it.copy(connection = notice.state) }
                        tell(ChatUpdate.Connection(notice.state))
                    }
                    is Notice.State -> tell(ChatUpdate.State(notice))
                    is Notice.Verdict -> tell(ChatUpdate.Verdict(notice))
                    is Notice.Fault -> tell(ChatUpdate.Failure(ErrorCode.FAULT.name, notice.why))
                    is Notice.Diverged -> {
                        tell(ChatUpdate.Diverged(notice))
                        notice.why?.let { tell(ChatUpdate.Failure(ErrorCode.IO.name, it)) }
                    }
                    is Notice.NewerVersion -> tell(ChatUpdate.NewerVersion(notice))
                    is Notice.NotPersisted -> tell(ChatUpdate.NotPersisted(notice))
                    is Notice.Synced, is Notice.Held, is Notice.Persisted -> {}
                }
            }
        }
    }

    /** What a view begins with: the model as it stands when its own join has been processed. */
    private class Built(
        val lines: List<Line>,
        val info: ViewInfo,
        val history: Flow<Event>,
        val viewInfo: Flow<Event>,
    )

    private fun View.build(): Built {
        val (lines, info) = session.lines() to session.info()
        // What others said who are gone is not for me.
        if (info.participants == 1 && lines.none { it.viewId == session.viewId }) {
            // If it cannot be sent now there is nobody to whom it could make a difference.
            quietly { newest = session.publish("input", "reset", "for new participants") }
        }
        return Built(lines, info, events("history", "refresh"), events("viewInfo", "refresh"))
    }

    /** Shows a new view, and what changes in it until it is lost: then its flows end. */
    private fun CoroutineScope.show(session: Session, view: Built) {
        set(view.lines)
        set(view.info)
        tell(ChatUpdate.Joined(session.id, session.viewId, state.value))
        tell(ChatUpdate.History(view.lines))
        tell(ChatUpdate.ViewInfo(view.info))
        built.value = true
        launch { view.history.collect { showLines(session) } }
        launch { view.viewInfo.collect { showInfo(session) } }
    }

    private fun showLines(session: Session) = quietly {
        val lines = session.lines()
        set(lines)
        tell(ChatUpdate.History(lines))
    }

    private fun showInfo(session: Session) = quietly {
        val info = session.info()
        set(info)
        tell(ChatUpdate.ViewInfo(info))
    }

    private fun set(lines: List<Line>) = mutableState.update { it.copy(lines = lines) }

    private fun set(info: ViewInfo) =
        mutableState.update { it.copy(nickname = info.nickname, participants = info.participants) }

    private fun Session.lines(): List<Line> = read("history")

    private fun Session.info() = ViewInfo(
        nickname = read<String?>("nickname", JsonPrimitive(viewId.hex)).orEmpty(),
        participants = read("participants"),
    )

    /**
     * Sends what was typed: exactly `/reset` resets the chat, everything else is a post. Returns when it is on
     * its way; what is said earlier is sent earlier.
     *
     * @throws TeatimeException why it will never be sent
     */
    suspend fun say(text: String) = if (text == "/reset") reset() else post(text)

    /** Sends a post. */
    suspend fun post(text: String) = send("newPost", toJson(Post(text)))

    /** Clears the chat for everybody. */
    suspend fun reset() = send("reset", JsonPrimitive("at user request"))

    private suspend fun send(event: String, data: JsonElement) = sending.withLock {
        val session = viewed()
        newest = session.awaitPublish("input", event, data)
    }

    /** Asks for a vote of all participants on their state. */
    suspend fun vote() = sending.withLock {
        val session = viewed()
        while (!requested(session)) session.connection.first { it == ConnectionState.Live }
    }

    private suspend fun requested(session: Session): Boolean = try {
        session.requestVote()
        true
    } catch (early: TeatimeException.NotSent) {
        if (early.code != ErrorCode.NOT_JOINED) throw early
        // Until it is told that the connection is lost.
        session.connection.first { it != ConnectionState.Live }
        false
    }

    /** The session, as soon as there is a view; its failure, if there will be none. */
    private suspend fun viewed(): Session {
        val session = session.await()
        session.ready()
        // If there will be none any more, the next call of the session tells why.
        combine(built, session.connection) { built, connection -> built || connection.isOver() }.first { it }
        return session
    }

    /** Waits until there has been a view, and everything that was sent has come back and been told. */
    suspend fun settle() {
        val session = viewed()
        newest?.let { session.applied(it) }
        withContext(turns) {
            // What tells of the last change may still wait for its turn.
            if (session.lines() != state.value.lines) showLines(session)
        }
    }

    /** Tells when an Android app, or whatever shows this, goes out of sight. */
    fun onBackground() = started { it.onBackground() }

    /** Tells that it is back. */
    fun onForeground() = started { it.onForeground() }

    /** Leaves; [run] returns when that is done. */
    fun leave() {
        left = true
        started { it.leave() }
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    private fun started(act: (Session) -> Unit) {
        if (session.isCompleted) act(session.getCompleted())
    }
}

private fun ConnectionState.isOver() = this == ConnectionState.Left || this is ConnectionState.Failed

private inline fun quietly(act: () -> Unit) {
    try {
        act()
    } catch (_: TeatimeException) {
        // When the model is gone there is nothing to show, and when it is back it is shown anew.
    }
}
