package teatime

import teatime.ffi.Link

/**
 * A link to a session. Everyone with the link can join, because it contains the password.
 *
 * @property reflector the reflector's address, such as `ws://127.0.0.1:9090`
 * @property app the id of the app
 * @property name the name of the room
 * @property options options of the app's model, as the app writes them into links
 * @property password the password, if the session has one
 * @throws TeatimeException [ErrorCode.BAD_ADDRESS] or [ErrorCode.BAD_LINK] if the parts do not make a valid link
 */
public data class JoinLink(
    val reflector: String,
    val app: String,
    val name: String,
    val options: Map<String, String> = emptyMap(),
    val password: String? = null,
) {
    private val text: String = firstCall { teatime.ffi.makeLink(Link(reflector, app, name, options, password)) }

    /** The link as text. */
    override fun toString(): String = text

    /** Parses links. */
    public companion object {
        /**
         * Parses a link.
         *
         * @throws TeatimeException [ErrorCode.BAD_LINK] if the text is not a valid link
         */
        public fun parse(link: String): JoinLink {
            val parts = firstCall { teatime.ffi.parseLink(link) }
            return JoinLink(parts.reflector, parts.app, parts.name, parts.options, parts.password)
        }
    }
}
