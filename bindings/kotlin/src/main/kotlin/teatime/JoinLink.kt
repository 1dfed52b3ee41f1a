package teatime

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import teatime.ffi.Link

/**
 * A link to a session. Everyone with the link can join, because it contains the password.
 *
 * @property reflector the reflector's address, such as `ws://127.0.0.1:9090`
 * @property app the id of the app
 * @property name the name of the room
 * @property options options of the root model, with the names of fields; null if all have their default
 * @property password the password, if the session has one
 * @throws TeatimeException [ErrorCode.BAD_ADDRESS] or [ErrorCode.BAD_LINK] if the parts do not make a valid link
 */
public data class JoinLink(
    val reflector: String,
    val app: String,
    val name: String,
    val options: JsonElement? = null,
    val password: String? = null,
) {
    internal val native: Link get() = Link(reflector, app, name, options?.toString(), password)

    private val text: String = firstCall { teatime.ffi.makeLink(native) }

    /** The link as text. */
    override fun toString(): String = text

    /** Parses links. */
    public companion object {
        /**
         * Parses a link, also one that a messenger has changed. A link that has lost characters is refused.
         *
         * @throws TeatimeException [ErrorCode.BAD_LINK] if the text is not a valid link
         */
        public fun parse(link: String): JoinLink {
            return of(firstCall { teatime.ffi.parseLink(link) })
        }

        internal fun of(parts: Link): JoinLink =
            JoinLink(parts.reflector, parts.app, parts.name, parts.options?.let { Json.parseToJsonElement(it) }, parts.password)
    }
}
