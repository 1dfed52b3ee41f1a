package teatime

import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.serializer

/**
 * Something that was published, by a model or a view.
 *
 * @property scope the scope of the topic
 * @property name the event of the topic
 */
public class Event internal constructor(
    public val scope: String,
    public val name: String,
    private val data: ByteArray,
) {
    /** What was published, as the text of a JSON value; empty if JSON cannot express it. */
    public val text: String get() = data.decodeToString()

    /**
     * What was published, as a JSON value.
     *
     * @throws TeatimeException [ErrorCode.WRONG_TYPE] if JSON cannot express it
     */
    public val json: JsonElement get() = decode()

    override fun toString(): String = "$scope/$name $text"
}

/**
 * What was published, as a serializable type.
 *
 * @throws TeatimeException [ErrorCode.WRONG_TYPE] if it is something else
 */
public inline fun <reified T> Event.decode(): T = decode(serializer<T>(), text)

/** Which events a subscription gives. */
public enum class Handling {
    /** Every event, in order, however slowly they are collected. */
    QUEUED,

    /** The newest: what was not collected before the next came is left out. */
    LATEST,
}
