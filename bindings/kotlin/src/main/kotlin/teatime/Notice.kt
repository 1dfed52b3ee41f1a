package teatime

import kotlin.time.Duration
import kotlin.time.Duration.Companion.microseconds
import teatime.ffi.Event as NativeEvent

/** An event of a session about the session itself. */
public sealed interface Notice {
    /**
     * The connection changed its state.
     *
     * @property state the new state
     */
    public data class Connection(val state: ConnectionState) : Notice

    /** The app has built a view from the model. */
    public data object ViewReady : Notice

    /** The model is gone. What the view shows is stale until the next [ViewReady]. */
    public data object ViewLost : Notice

    /**
     * The model caught up with the reflector, or fell behind.
     *
     * @property synced whether the model is up to date
     */
    public data class Synced(val synced: Boolean) : Notice

    /**
     * The hash of this participant's state at the point of a vote.
     *
     * @property seq sequence number of the vote
     * @property time session time of the vote
     * @property hash the hash as hexadecimal text
     */
    public data class State(val seq: ULong, val time: Duration, val hash: String) : Notice

    /**
     * How a vote ended.
     *
     * @property seq sequence number of the vote
     * @property hash the majority's hash as hexadecimal text, if it is known
     * @property agreed the number of participants that agreed
     * @property of the number of participants that were asked
     */
    public data class Verdict(val seq: ULong, val hash: String?, val agreed: Int, val of: Int) : Notice

    /**
     * A handler failed on every participant.
     *
     * @property seq sequence number of the newest event at that point
     * @property time session time at that point
     * @property sender the view that sent the event that led to the failure, if a view did
     * @property message what happened, for people
     */
    public data class Fault(val seq: ULong, val time: Duration, val sender: ViewId?, val message: String) : Notice

    /**
     * The reflector asks senders to pause, or to go on.
     *
     * @property held whether they should pause
     */
    public data class Held(val held: Boolean) : Notice

    /**
     * This participant's state was wrong, and has been replaced.
     *
     * @property seq sequence number of the vote that found it
     * @property time session time of the vote
     * @property hash the wrong state's hash as hexadecimal text
     * @property evidence the file of evidence, if [JoinOptions.evidenceDirectory] asked for one
     * @property message why the file could not be written, for people
     */
    public data class Diverged(
        val seq: ULong,
        val time: Duration,
        val hash: String,
        val evidence: String?,
        val message: String?,
    ) : Notice

    /**
     * The persisted data of the root model is stored: a later version of the app begins with it.
     *
     * @property seq sequence number of the vote that agreed on it
     */
    public data class Persisted(val seq: ULong) : Notice

    /**
     * A newer version of the app is or was in use in this room. It has a session of its own, which began with the
     * persisted data of that time. Changes in this session do not reach it.
     *
     * @property version the newer version
     * @property message asks the user to update
     */
    public data class NewerVersion(val version: UInt, val message: String) : Notice

    /**
     * The persisted data of the root model is not stored: a later version of the app would begin with older data.
     * Comes once, and again after data was stored.
     *
     * @property code why the reflector cannot store it; the reflector tries again. Null if the room is
     *   full of what other versions have persisted
     * @property message the reason for the user
     */
    public data class NotPersisted(val code: ErrorCode?, val message: String) : Notice

    /**
     * Nothing has happened in this room before, and its name is also used with another password, or without one. Comes
     * once.
     *
     * @property message asks the user to check the password
     */
    public data class OtherPassword(val message: String) : Notice

    /**
     * The fate of some published events is unknown, and they are not sent again: the reflector has forgotten this
     * participant.
     *
     * @property count the number of events
     * @property message the explanation for the user
     */
    public data class Unconfirmed(val count: ULong, val message: String) : Notice

    /**
     * Two programs compute different things from the same events, so participants see different things. The session goes
     * on. Comes once, and again after all have agreed.
     *
     * @property seq sequence number of the vote that found it
     * @property message the explanation for the user, with both builds and the file of evidence
     */
    public data class Disagreement(val seq: ULong, val message: String) : Notice

    /**
     * The order of events is not what participants have seen or sealed: the reflector, or a participant, does not say the
     * truth. The session goes on. Comes once for each kind and participant.
     *
     * @property kind what is wrong: `REPEATED`, `DROPPED`, `REORDERED`, `FORKED`, `INVENTED`, `EXPELLED`
     *   if this client is said to have left, `REWOUND` if events are gone that this client has seen, because the reflector
     *   crashed or its operator went back, or `CLOCK` if the session's time jumped ahead between two connections
     * @property seq sequence number of the message that shows it
     * @property participant the participant that it is about
     * @property message the explanation for the user
     */
    public data class Alarm(
        val kind: String,
        val seq: ULong,
        val participant: ViewId?,
        val message: String,
    ) : Notice
}

/** The notice for an event about the session itself; null for a published event, and for what participants show. */
internal fun notice(event: NativeEvent): Notice? = when (event) {
    is NativeEvent.Published, is NativeEvent.PresencesChanged -> null
    is NativeEvent.Connection -> Notice.Connection(connectionState(event.state, event.status, event.message))
    is NativeEvent.ViewReady -> Notice.ViewReady
    is NativeEvent.ViewLost -> Notice.ViewLost
    is NativeEvent.Synced -> Notice.Synced(event.synced)
    is NativeEvent.State -> Notice.State(event.seq, duration(event.timeUs), event.hash)
    is NativeEvent.Verdict -> Notice.Verdict(event.seq, event.hash, event.agreed.toInt(), event.of.toInt())
    is NativeEvent.Fault ->
        Notice.Fault(event.seq, duration(event.timeUs), event.sender?.let(::ViewId), event.message)
    is NativeEvent.Held -> Notice.Held(event.held)
    is NativeEvent.Diverged ->
        Notice.Diverged(event.seq, duration(event.timeUs), event.hash, event.evidence, event.message)
    is NativeEvent.Persisted -> Notice.Persisted(event.seq)
    is NativeEvent.NewerVersion -> Notice.NewerVersion(event.version, event.message)
    is NativeEvent.OtherPassword -> Notice.OtherPassword(event.message)
    is NativeEvent.Unconfirmed -> Notice.Unconfirmed(event.count, event.message)
    is NativeEvent.Disagreement -> Notice.Disagreement(event.seq, event.message)
    is NativeEvent.Alarm -> Notice.Alarm(event.kind, event.seq, event.participant?.let(::ViewId), event.message)
    is NativeEvent.NotPersisted -> Notice.NotPersisted(event.status?.let(::errorCode), event.message)
}

internal fun duration(us: ULong): Duration = us.coerceAtMost(Long.MAX_VALUE.toULong()).toLong().microseconds
