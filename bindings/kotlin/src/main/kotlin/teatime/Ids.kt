package teatime

import kotlin.jvm.JvmInline
import kotlinx.serialization.Serializable

/**
 * The id of a view, and so of a participant.
 *
 * @property hex the id as hexadecimal text, as in JSON
 */
@JvmInline
@Serializable
public value class ViewId(public val hex: String) {
    override fun toString(): String = hex
}

/**
 * The id of a model within its session.
 *
 * @property number the id as a number
 */
@JvmInline
@Serializable
public value class ModelId(public val number: ULong) {
    override fun toString(): String = number.toString()

    /** The id that every session has. */
    public companion object {
        /** The root model. */
        public val ROOT: ModelId = ModelId(1uL)
    }
}

/**
 * The result of publishing. With it the caller can wait until the model has handled the event.
 *
 * @property number later events of a session have larger numbers
 */
@JvmInline
public value class Receipt internal constructor(internal val number: ULong) {
    override fun toString(): String = number.toString()
}
