package teatime.chat

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.decodeFromJsonElement
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
    val announces: Boolean = false,
    val trustedCertificates: String? = null,
    val evidenceDirectory: String? = null,
) {
    /** The link by which others join. */
    val link: JoinLink
        get() = joinOptions().link()

    /** The options to join the room. */
    fun joinOptions(): JoinOptions = JoinOptions(
        app = App.chat(),
        reflector = reflector,
        name = name,
        password = password,
        options = toJson(ChatOptions(inactivitySeconds, announces)),
        trustedCertificates = trustedCertificates,
        agent = "teatime-chat-kotlin/0.1.0",
        evidenceDirectory = evidenceDirectory,
    )

    companion object {
        /** By default a chat clears itself after this many seconds without a post. */
        const val INACTIVITY_SECONDS = 1200L

        /** The room of a link; null if the link does not lead to a chat. */
        fun of(link: JoinLink): Room? {
            if (link.app != Chat.APP_ID) return null
            val chat = Json.decodeFromJsonElement<ChatOptions>(JoinOptions.of(App.chat(), link).options)
            return Room(link.reflector, link.name, link.password, chat.inactivitySeconds, chat.announce)
        }

        /** A number of seconds that the model accepts; null if the text is not one. */
        fun seconds(text: String): Long? =
            if (text.isNotEmpty() && text.all { it in '0'..'9' }) text.toUIntOrNull()?.toLong() else null
    }
}

/** The options of the chat's model. */
@Serializable
private data class ChatOptions(@SerialName("inactivity_seconds") val inactivitySeconds: Long, val announce: Boolean = false)
