package teatime

import kotlin.jvm.JvmInline
import kotlinx.serialization.Serializable

/**
 * The id of a view: of one participant's side of a session.
 *
 * @property hex the id as hexadecimal text, as it crosses in JSON
 */
@JvmInline
@Serializable
public value class ViewId(public val hex: String) {
    override fun toString(): String = hex
}

/**
 * The id of a model within its session.
 *
 * @property number the number that it is
 */
@JvmInline
@Serializable
public value class ModelId(public val number: ULong) {
    override fun toString(): String = number.toString()

    /** The model that every session begins with. */
    public companion object {
        /** The root model. */
        public val ROOT: ModelId = ModelId(1uL)
    }
}

/**
 * What publishing gives, to ask whether the model has handled the event.
 *
 * @property number later events of a session have larger ones
 */
@JvmInline
public value class Receipt internal constructor(internal val number: ULong) {
    override fun toString(): String = number.toString()
}
