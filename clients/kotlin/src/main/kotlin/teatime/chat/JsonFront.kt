package teatime.chat

import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonObjectBuilder
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import teatime.toJson

/** One JSON object a line, both ways. */
internal class JsonFront : Front() {
    override suspend fun obey(model: ChatModel, line: String): Boolean {
        val command = try {
            parse(line)
        } catch (error: SerializationException) {
            fail("BAD_COMMAND", error.message.orEmpty())
            return true
        }
        val text = command.text("text")
        when (command.text("do") to command.keys) {
            "post" to setOf("do", "text") -> if (text == null) bad() else model.post(text)
            "typing" to setOf("do") -> model.setTyping(true)
            "reset" to setOf("do") -> model.reset()
            "vote" to setOf("do") -> model.vote()
            "leave" to setOf("do") -> return false
            else -> bad()
        }
        return true
    }

    private fun parse(line: String): JsonObject =
        Json.parseToJsonElement(line) as? JsonObject ?: JsonObject(emptyMap())

    /** A member as text; null if it is another value, or has half a surrogate pair. */
    private fun JsonObject.text(name: String): String? =
        (this[name] as? JsonPrimitive)?.takeIf { it.isString }?.content
            ?.takeIf { it.encodeToByteArray().decodeToString() == it }

    private fun bad() = fail("BAD_COMMAND", "unknown command: expected post with text, typing, reset, vote or leave")

    override fun show(update: ChatUpdate) = when (update) {
        is ChatUpdate.Joined -> event("joined") {
            put("session_id", update.sessionId)
            put("view_id", update.viewId.hex)
            put("badge", update.state.badge)
            put("link", update.state.link)
            view(ViewInfo(update.state.nickname, update.state.participants))
        }
        is ChatUpdate.History -> event("history") { put("items", toJson(update.lines)) }
        is ChatUpdate.ViewInfo -> event("view_info") { view(update.info) }
        is ChatUpdate.Typing -> event("typing") { put("nicknames", toJson(update.nicknames)) }
        is ChatUpdate.State -> event("state") {
            put("seq", update.vote.seq.toLong())
            put("time_us", update.vote.time.inWholeMicroseconds)
            put("hash", update.vote.hash)
        }
        is ChatUpdate.Verdict -> event("verdict") {
            put("seq", update.vote.seq.toLong())
            put("hash", update.vote.hash)
            put("agreed", update.vote.agreed)
            put("of", update.vote.of)
        }
        is ChatUpdate.Diverged -> event("diverged") {
            put("seq", update.notice.seq.toLong())
            put("time_us", update.notice.time.inWholeMicroseconds)
            put("hash", update.notice.hash)
            put("evidence", update.notice.evidence)
        }
        is ChatUpdate.NewerVersion -> event("newer_version") {
            put("version", update.notice.version.toLong())
            put("message", update.notice.message)
        }
        is ChatUpdate.OtherPassword -> event("hint") {
            put("code", "OTHER_PASSWORD")
            put("message", update.notice.message)
        }
        is ChatUpdate.NotPersisted -> event("not_persisted") {
            put("code", update.notice.code?.name)
            put("message", update.notice.message)
        }
        is ChatUpdate.Unconfirmed -> event("unconfirmed") {
            put("count", update.notice.count.toLong())
            put("message", update.notice.message)
        }
        is ChatUpdate.Disagreement -> event("disagreement") {
            put("seq", update.notice.seq.toLong())
            put("message", update.notice.message)
        }
        is ChatUpdate.Alarm -> event("alarm") {
            put("kind", update.notice.kind)
            put("seq", update.notice.seq.toLong())
            put("participant", update.notice.participant?.toString())
            put("message", update.notice.message)
        }
        is ChatUpdate.Connection, is ChatUpdate.Failure -> {}
    }

    override fun fail(code: String, message: String) = event("error") {
        put("code", code)
        put("message", message)
    }

    override fun connection(name: String) = event("connection") { put("state", name) }

    private fun JsonObjectBuilder.view(info: ViewInfo) {
        put("nickname", info.nickname)
        put("participants", info.participants)
    }

    private fun event(name: String, members: JsonObjectBuilder.() -> Unit) {
        val line: JsonElement = buildJsonObject {
            put("event", name)
            members()
        }
        print(line.toString())
    }
}
