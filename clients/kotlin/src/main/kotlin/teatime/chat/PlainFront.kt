package teatime.chat

import teatime.Chat

/** Prints new lines of the history as text. Every typed line is a post, except `/reset`. */
internal class PlainFront : Front() {
    override suspend fun obey(model: ChatModel, line: String): Boolean {
        model.say(line)
        return true
    }

    override fun show(update: ChatUpdate) {
        if (update is ChatUpdate.Diverged) {
            val evidence = update.notice.evidence?.let { "; see: teatime diff $it" }.orEmpty()
            fail("DIVERGED", "this client's state was wrong and has been replaced$evidence")
        }
        if (update is ChatUpdate.NewerVersion) fail("NEWER_VERSION", update.notice.message)
        if (update is ChatUpdate.OtherPassword) fail("OTHER_PASSWORD", update.notice.message)
        if (update is ChatUpdate.NotPersisted) fail("NOT_PERSISTED", update.notice.message)
        if (update is ChatUpdate.Unconfirmed) fail("UNCONFIRMED", update.notice.message)
        if (update is ChatUpdate.Disagreement) fail("DISAGREEMENT", update.notice.message)
        if (update is ChatUpdate.Alarm) fail("ALARM", update.notice.message)
        if (update is ChatUpdate.History) update.new.forEach { print(Chat.printable(it.text)) }
    }

    override fun fail(code: String, message: String) = System.err.println("teatime-chat: ${Chat.printable(message)}")

    override fun connection(name: String) {
        // Plain text shows the chat only.
    }
}
