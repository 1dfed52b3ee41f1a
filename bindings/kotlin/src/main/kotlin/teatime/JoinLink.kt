package teatime

import teatime.ffi.Link

/**
 * A link that leads into a session. Whoever has it can join: it contains the password.
 *
 * @property reflector where the reflector listens, such as `ws://127.0.0.1:9090`
 * @property app the id of the app
 * @property name the name of the room
 * @property options options of the app's model, as the app writes them into links
 * @property password the password, if the session has one
 * @throws TeatimeException [ErrorCode.BAD_ADDRESS] or [ErrorCode.BAD_LINK] if there is no such link
 */
public data class JoinLink(
    val reflector: String,
    val app: String,
    val name: String,
    val options: Map<String, String> = emptyMap(),
    val password: String? = null,
) {
    private val text: String = firstCall { teatime.ffi.makeLink(Link(reflector, app, name, options, password)) }

    /** The link itself, as it is passed on. */
    override fun toString(): String = text

    /** Takes links apart. */
    public companion object {
        /**
         * Takes a link apart.
         *
         * @throws TeatimeException [ErrorCode.BAD_LINK] if the text is none
         */
        public fun parse(link: String): JoinLink {
            val parts = firstCall { teatime.ffi.parseLink(link) }
            return JoinLink(parts.reflector, parts.app, parts.name, parts.options, parts.password)
        }
    }
}
