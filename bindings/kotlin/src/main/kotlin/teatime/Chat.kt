package teatime

/** Helpers for front ends of the chat that is built into the library. */
public object Chat {
    /** The id of the chat as an app, as links have it. */
    public const val APP_ID: String = "teatime.chat"

    /** The text of a line of the history, without tags and with resolved escapes. */
    public fun plainText(html: String): String = firstCall { teatime.ffi.chatPlainText(html) }

    /**
     * A text of other users as one line for a terminal: a line break becomes ` ⏎ `. Control characters, characters that
     * change the direction of text, and invisible ones become U+FFFD.
     */
    public fun printable(text: String): String = firstCall { teatime.ffi.printable(text) }
}
