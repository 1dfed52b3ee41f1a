package teatime.chat

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import teatime.App
import teatime.Chat
import teatime.JoinLink
import teatime.JoinOptions
import teatime.toJson

/** A chat room and its reflector. */
data class Room(
    val reflector: String,
    val name: String,
    val password: String? = null,
    val inactivitySeconds: Long = INACTIVITY_SECONDS,
    val trustedCertificates: String? = null,
    val evidenceDirectory: String? = null,
) {
    /** The link by which others join. */
    val link: JoinLink
        get() {
            val standard = inactivitySeconds == INACTIVITY_SECONDS
            val options = if (standard) emptyMap() else mapOf(INACTIVITY to inactivitySeconds.toString())
            return JoinLink(reflector, Chat.APP_ID, name, options, password)
        }

    /** The options to join the room. */
    fun joinOptions(): JoinOptions = JoinOptions(
        app = App.chat(),
        reflector = reflector,
        name = name,
        password = password,
        options = toJson(ChatOptions(inactivitySeconds)),
        trustedCertificates = trustedCertificates,
        agent = "teatime-chat-kotlin/0.1.0",
        evidenceDirectory = evidenceDirectory,
    )

    companion object {
        /** By default a chat clears itself after this many seconds without a post. */
        const val INACTIVITY_SECONDS = 1200L

        /** The option's name in links. */
        const val INACTIVITY = "inactivity"

        /** The room of a link; null if the link does not lead to a chat. */
        fun of(link: JoinLink): Room? {
            val inactivity = seconds(link.options[INACTIVITY] ?: "$INACTIVITY_SECONDS")
            if (link.app != Chat.APP_ID || inactivity == null) return null
            return Room(link.reflector, link.name, link.password, inactivity)
        }

        /** A number of seconds that the model accepts; null if the text is not one. */
        fun seconds(text: String): Long? =
            if (text.isNotEmpty() && text.all { it in '0'..'9' }) text.toUIntOrNull()?.toLong() else null
    }
}

/** The options of the chat's model. */
@Serializable
private data class ChatOptions(@SerialName("inactivity_seconds") val inactivitySeconds: Long, val announce: Boolean = false)
