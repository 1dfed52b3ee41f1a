package teatime.chat

/** Prints new lines of the history as text. Every typed line is a post, except `/reset`. */
internal class PlainFront : Front() {
    private var shown = emptyList<Line>()

    override suspend fun obey(model: ChatModel, line: String): Boolean {
        model.say(line)
        return true
    }

    override fun show(update: ChatUpdate) {
        if (update is ChatUpdate.Diverged) {
            val evidence = update.notice.evidence?.let { "; see: teatime diff $it" }.orEmpty()
            fail("DIVERGED", "this client's state differed from the majority's and has been replaced$evidence")
        }
        if (update is ChatUpdate.NewerVersion) fail("NEWER_VERSION", update.notice.message)
        if (update is ChatUpdate.NotPersisted) fail("NOT_PERSISTED", update.notice.message)
        if (update !is ChatUpdate.History) return
        newLines(shown, update.lines).forEach { print(it.text) }
        shown = update.lines
    }

    override fun fail(code: String, message: String) = System.err.println("teatime-chat: $message")

    override fun connection(name: String) {
        // Plain text shows the chat only.
    }
}

/**
 * The lines at the end of [now] that [before] does not have. A history grows at its end and shrinks at its front; a
 * reset replaces it.
 */
internal fun newLines(before: List<Line>, now: List<Line>): List<Line> {
    val common = (minOf(before.size, now.size) downTo 0).first { before.takeLast(it) == now.take(it) }
    return now.drop(common)
}
