package teatime

/** What the chat that comes with the library offers besides its model. */
public object Chat {
    /** The id of the chat as an app, as it stands in links. */
    public const val APP_ID: String = "teatime.chat"

    /** The text of a line of the history: without its tags, with its escapes resolved. */
    public fun plainText(html: String): String = firstCall { teatime.ffi.chatPlainText(html) }
}
