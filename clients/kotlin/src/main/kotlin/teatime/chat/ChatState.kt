package teatime.chat

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import teatime.Chat
import teatime.ConnectionState
import teatime.Notice
import teatime.ViewId

/** A line of the history; [viewId] is who wrote it, nobody if it comes from the chat itself. */
@Serializable
data class Line(@SerialName("view_id") val viewId: ViewId?, val html: String) {
    /** The line without its tags, with its escapes resolved. */
    val text: String get() = Chat.plainText(html)
}

/** What is posted. */
@Serializable
data class Post(val text: String)

/** Who this is to the others, and how many are here. */
data class ViewInfo(val nickname: String, val participants: Int)

/** All that a screen shows. */
data class ChatState(
    val badge: String = "",
    val link: String = "",
    val lines: List<Line> = emptyList(),
    val nickname: String = "",
    val participants: Int = 0,
    val connection: ConnectionState = ConnectionState.Connecting(null),
)

/** A single change. */
sealed interface ChatUpdate {
    /** The view has been built, anew if that was after an outage. */
    data class Joined(val sessionId: String, val viewId: ViewId, val state: ChatState) : ChatUpdate

    /** The lines as they stand now. */
    data class History(val lines: List<Line>) : ChatUpdate

    /** Nickname and number of participants as they stand now. */
    data class ViewInfo(val info: teatime.chat.ViewInfo) : ChatUpdate

    /** The connection changed its state. */
    data class Connection(val state: ConnectionState) : ChatUpdate

    /** The own hash at a vote. */
    data class State(val vote: Notice.State) : ChatUpdate

    /** The end of a vote. */
    data class Verdict(val vote: Notice.Verdict) : ChatUpdate

    /** The state was not the right one, and has been replaced. */
    data class Diverged(val notice: Notice.Diverged) : ChatUpdate

    /** Somebody uses a newer version of the app. */
    data class NewerVersion(val notice: Notice.NewerVersion) : ChatUpdate

    /** What is to outlive this version of the app is not stored. */
    data class NotPersisted(val notice: Notice.NotPersisted) : ChatUpdate

    /** Something failed, and the chat goes on. */
    data class Failure(val code: String, val message: String) : ChatUpdate
}
