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

/** A change of the history: the payload of `history/refresh`. Drops lines at the front, and adds [line] at the end. */
@Serializable
data class Change(val dropped: Int, val line: Line)

/** The lines, oldest first. [last] is the number of the last one, counted from the first line of the session. */
data class History(val lines: List<Line> = emptyList(), val last: Long = 0) {
    /** The history after a change. */
    operator fun plus(change: Change) =
        History((lines + change.line).let { it.drop(change.dropped.coerceIn(0, it.size - 1)) }, last + 1)

    /**
     * The lines at the end that a user has not seen who has seen [shown]. Lines are the same if their numbers and contents
     * are. A reflector that has lost the session starts a new one, with other lines of the same numbers: then all are new.
     */
    fun unseen(shown: History): List<Line> {
        if (last < shown.last) return lines
        val kept = lines.dropLast((last - shown.last).coerceAtMost(lines.size.toLong()).toInt())
        return if (kept == shown.lines.takeLast(kept.size)) lines.drop(kept.size) else lines
    }
}

/** The payload of a post. */
@Serializable
data class Post(val text: String)

/** What a participant of the chat shows of itself, and no model sees. A participant that is not typing shows nothing. */
@Serializable
internal data class ChatPresence(val typing: Boolean)

/** This user's nickname, and the number of participants. */
data class ViewInfo(val nickname: String, val participants: Int)

/** The state for a screen. [typing] are the nicknames of the others who are typing, in the order of the alphabet. */
data class ChatState(
    val badge: String = "",
    val link: String = "",
    val lines: List<Line> = emptyList(),
    val nickname: String = "",
    val participants: Int = 0,
    val typing: List<String> = emptyList(),
    val connection: ConnectionState = ConnectionState.Connecting(null),
) {
    /** Who is typing, for people; null if they are none. */
    val typingLine: String?
        get() = when (typing.size) {
            0 -> null
            1 -> "${typing[0]} is typing"
            2 -> "${typing[0]} and ${typing[1]} are typing"
            else -> "${typing[0]}, ${typing[1]} and ${typing.size - 2} more are typing"
        }
}

/** A single change. */
sealed interface ChatUpdate {
    /** The app has built a view: the first one, or another after an outage. */
    data class Joined(val sessionId: String, val viewId: ViewId, val state: ChatState) : ChatUpdate

    /** The lines after a change. [new] are those that were not there before. */
    data class History(val lines: List<Line>, val new: List<Line>) : ChatUpdate

    /** The current nickname and number of participants. */
    data class ViewInfo(val info: teatime.chat.ViewInfo) : ChatUpdate

    /** Others began or stopped to type. These are typing now. */
    data class Typing(val nicknames: List<String>) : ChatUpdate

    /** The connection changed its state. */
    data class Connection(val state: ConnectionState) : ChatUpdate

    /** This client's state hash at a vote. */
    data class State(val vote: Notice.State) : ChatUpdate

    /** The end of a vote. */
    data class Verdict(val vote: Notice.Verdict) : ChatUpdate

    /** This client's state was wrong, and has been replaced. */
    data class Diverged(val notice: Notice.Diverged) : ChatUpdate

    /** A participant uses a newer version of the app. */
    data class NewerVersion(val notice: Notice.NewerVersion) : ChatUpdate

    /** The name of this new room is also used with another password. */
    data class OtherPassword(val notice: Notice.OtherPassword) : ChatUpdate

    /** The persisted data is not stored. */
    data class NotPersisted(val notice: Notice.NotPersisted) : ChatUpdate

    /** The fate of some posts is unknown. */
    data class Unconfirmed(val notice: Notice.Unconfirmed) : ChatUpdate

    /** Two programs compute different things. */
    data class Disagreement(val notice: Notice.Disagreement) : ChatUpdate

    /** The order of events is wrong. */
    data class Alarm(val notice: Notice.Alarm) : ChatUpdate

    /** A failure that does not end the chat. */
    data class Failure(val code: String, val message: String) : ChatUpdate
}
