package teatime.chat

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import teatime.Chat
import teatime.ConnectionState
import teatime.Notice
import teatime.ViewId

/** A line of the history. [viewId] is the view that wrote it, null if the chat itself did. */
@Serializable
data class Line(@SerialName("view_id") val viewId: ViewId?, val html: String) {
    /** The text of the line, without tags and with resolved escapes. */
    val text: String get() = Chat.plainText(html)
}

/** The payload of a post. */
@Serializable
data class Post(val text: String)

/** This user's nickname, and the number of participants. */
data class ViewInfo(val nickname: String, val participants: Int)

/** The state for a screen. */
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
    /** The app has built a view: the first one, or another after an outage. */
    data class Joined(val sessionId: String, val viewId: ViewId, val state: ChatState) : ChatUpdate

    /** The current lines. */
    data class History(val lines: List<Line>) : ChatUpdate

    /** The current nickname and number of participants. */
    data class ViewInfo(val info: teatime.chat.ViewInfo) : ChatUpdate

    /** The connection changed its state. */
    data class Connection(val state: ConnectionState) : ChatUpdate

    /** This client's state hash at a vote. */
    data class State(val vote: Notice.State) : ChatUpdate

    /** The end of a vote. */
    data class Verdict(val vote: Notice.Verdict) : ChatUpdate

    /** This client's state differed from the majority's, and has been replaced. */
    data class Diverged(val notice: Notice.Diverged) : ChatUpdate

    /** A participant uses a newer version of the app. */
    data class NewerVersion(val notice: Notice.NewerVersion) : ChatUpdate

    /** The persisted data is not stored. */
    data class NotPersisted(val notice: Notice.NotPersisted) : ChatUpdate

    /** A failure that does not end the chat. */
    data class Failure(val code: String, val message: String) : ChatUpdate
}
