package teatime.chat

/** The history as text as it grows; every line that is typed is a post, except `/reset`. */
internal class PlainFront : Front() {
    private var shown = emptyList<Line>()

    override suspend fun obey(model: ChatModel, line: String): Boolean {
        model.say(line)
        return true
    }

    override fun show(update: ChatUpdate) {
        if (update is ChatUpdate.Diverged) {
            val evidence = update.notice.evidence?.let { "; see: teatime diff $it" }.orEmpty()
            fail("DIVERGED", "this client's state was not the right one and has been replaced$evidence")
        }
        if (update is ChatUpdate.NewerVersion) fail("NEWER_VERSION", update.notice.why)
        if (update is ChatUpdate.NotPersisted) fail("NOT_PERSISTED", update.notice.why)
        if (update !is ChatUpdate.History) return
        newLines(shown, update.lines).forEach { print(it.text) }
        shown = update.lines
    }

    override fun fail(code: String, message: String) = System.err.println("teatime-chat: $message")

    override fun connection(name: String) {
        // It is not part of the chat.
    }
}

/**
 * The lines at the end of [now] that [before] does not have. A history only grows at its end and shrinks at its
 * front, or is replaced by a reset.
 */
internal fun newLines(before: List<Line>, now: List<Line>): List<Line> {
    val common = (minOf(before.size, now.size) downTo 0).first { before.takeLast(it) == now.take(it) }
    return now.drop(common)
}
