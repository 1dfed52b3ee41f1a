package teatime

import kotlin.time.Duration
import kotlin.time.Duration.Companion.microseconds
import teatime.ffi.Event as NativeEvent

/** What a session tells about itself. */
public sealed interface Notice {
    /**
     * The connection changed its state.
     *
     * @property state how it stands now
     */
    public data class Connection(val state: ConnectionState) : Notice

    /** A view has been built from the model. */
    public data object ViewReady : Notice

    /** The model is gone: what is known of it is stale until the next [ViewReady]. */
    public data object ViewLost : Notice

    /**
     * The model caught up with the reflector, or fell behind.
     *
     * @property synced whether it is up to date
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
     * @property agreed how many agreed
     * @property of how many were asked
     */
    public data class Verdict(val seq: ULong, val hash: String?, val agreed: Int, val of: Int) : Notice

    /**
     * A handler failed, on every participant alike.
     *
     * @property seq sequence number of the newest event then
     * @property time session time then
     * @property sender who sent the event that led to it, if somebody did
     * @property why what happened, for people
     */
    public data class Fault(val seq: ULong, val time: Duration, val sender: ViewId?, val why: String) : Notice

    /**
     * The reflector asks senders to pause, or lets them go on.
     *
     * @property held whether they should pause
     */
    public data class Held(val held: Boolean) : Notice

    /**
     * This participant's state was not the right one, and has been replaced.
     *
     * @property seq sequence number of the vote that found it
     * @property time session time of the vote
     * @property hash the wrong state's hash as hexadecimal text
     * @property evidence the file of evidence, if [JoinOptions.evidenceDirectory] asked for one and it could
     *   be written
     * @property why why it could not be written, for people
     */
    public data class Diverged(
        val seq: ULong,
        val time: Duration,
        val hash: String,
        val evidence: String?,
        val why: String?,
    ) : Notice

    /**
     * What the root model has persisted is stored: a later version of the app begins with it.
     *
     * @property seq sequence number of the vote that it was part of
     */
    public data class Persisted(val seq: ULong) : Notice

    /**
     * A newer version of the app is used in this room, or has been. It has a session of its own, which began with
     * what was persisted by then; what is done here does not get there.
     *
     * @property version its version
     * @property why tells people to update
     */
    public data class NewerVersion(val version: UInt, val why: String) : Notice

    /**
     * What the root model has persisted is not stored: a later version of the app would begin with what was stored
     * before. It comes once, and again after something else was stored.
     *
     * @property code why the reflector cannot store it, which it tries again; null if newer versions have persisted
     * @property why says so to people
     */
    public data class NotPersisted(val code: ErrorCode?, val why: String) : Notice
}

/** What concerns the session itself; nothing if it was published. */
internal fun notice(event: NativeEvent): Notice? = when (event) {
    is NativeEvent.Published -> null
    is NativeEvent.Connection -> Notice.Connection(connectionState(event.state, event.status, event.why))
    is NativeEvent.ViewReady -> Notice.ViewReady
    is NativeEvent.ViewLost -> Notice.ViewLost
    is NativeEvent.Synced -> Notice.Synced(event.synced)
    is NativeEvent.State -> Notice.State(event.seq, duration(event.timeUs), event.hash)
    is NativeEvent.Verdict -> Notice.Verdict(event.seq, event.hash, event.agreed.toInt(), event.of.toInt())
    is NativeEvent.Fault ->
        Notice.Fault(event.seq, duration(event.timeUs), event.sender?.let(::ViewId), event.why)
    is NativeEvent.Held -> Notice.Held(event.held)
    is NativeEvent.Diverged ->
        Notice.Diverged(event.seq, duration(event.timeUs), event.hash, event.evidence, event.why)
    is NativeEvent.Persisted -> Notice.Persisted(event.seq)
    is NativeEvent.NewerVersion -> Notice.NewerVersion(event.version, event.why)
    is NativeEvent.NotPersisted -> Notice.NotPersisted(event.status?.let(::errorCode), event.why)
}

internal fun duration(us: ULong): Duration = us.coerceAtMost(Long.MAX_VALUE.toULong()).toLong().microseconds
