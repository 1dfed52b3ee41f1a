package teatime

import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.serializer

/**
 * An event that a model or a view published.
 *
 * @property scope the scope of the topic. Never `*`, so a subscription to every scope learns here what it hears.
 * @property event the event of the topic. Never `*`.
 * @property model the model that published it; null for an event of [Session.publishToViews]
 */
public class Event internal constructor(
    public val scope: String,
    public val event: String,
    public val model: ModelId?,
    private val payload: ByteArray,
) {
    /** The payload as the text of a JSON value. Empty if JSON cannot express it. */
    public val text: String get() = payload.decodeToString()

    /**
     * The payload as a JSON value.
     *
     * @throws TeatimeException [ErrorCode.WRONG_TYPE] if JSON cannot express it
     */
    public val json: JsonElement get() = decode()

    override fun toString(): String = "$scope/$event $text"
}

/**
 * The payload as a value of a serializable type.
 *
 * @throws TeatimeException [ErrorCode.WRONG_TYPE] if the payload is of another type
 */
public inline fun <reified T> Event.decode(): T = decode(serializer<T>(), text)

/** Which events a subscription delivers. */
public enum class Handling {
    /** Every event, in order. At most 65,536 events wait for the collector; then the session stands still. */
    QUEUED,

    /** The newest event only. It replaces an event that was not collected. */
    LATEST,
}
