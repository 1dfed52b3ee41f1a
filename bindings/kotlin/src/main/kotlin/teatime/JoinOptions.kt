package teatime

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import teatime.ffi.JoinOptions as NativeOptions

/**
 * Which session to join, and how. App, name, [options] and the version of the models are the session's
 * identity: participants who differ in one of them are in different sessions.
 *
 * @property app the models
 * @property reflector the reflector's address, such as `ws://127.0.0.1:9090` or `wss://example.org`
 * @property name the name of the room, 1 to 128 bytes of UTF-8
 * @property password the password; with one, everything is encrypted end to end
 * @property options the root model's options; [toJson] makes them from a serializable value
 * @property viewData passed to all models when this view joins and exits
 * @property ticksPerSecond how often the session's time advances while nothing happens: 1 to 60, by default 20.
 *   Only the session's first participant decides this
 * @property trustedCertificates certificates (PEM) to trust in addition to the platform's
 * @property agent name and version of the program, for the reflector's log
 * @property evidenceDirectory the directory for a file of evidence if this participant diverges; the file is not
 *   encrypted, even with a password
 * @property blobCacheDirectory the directory for a cache of fetched pieces of blobs, such as a folder of the app's
 *   caches; with a password the pieces are encrypted
 * @property blobCacheBytes the size limit of the cache in bytes, by default 256 MiB; the least recently used pieces
 *   are removed first
 */
public data class JoinOptions(
    val app: App,
    val reflector: String,
    val name: String,
    val password: String? = null,
    val options: JsonElement = JsonNull,
    val viewData: JsonElement? = null,
    val ticksPerSecond: Int? = null,
    val trustedCertificates: String? = null,
    val agent: String = "teatime-kotlin",
    val evidenceDirectory: String? = null,
    val blobCacheDirectory: String? = null,
    val blobCacheBytes: Long? = null,
) {
    /** Leaves out the password, so that logs do not show it. */
    override fun toString(): String = "JoinOptions($app, $reflector, $name)"

    /**
     * The link by which others join the same session, with all options of the root model.
     *
     * @throws TeatimeException which option is invalid
     */
    public fun link(): JoinLink = JoinLink.of(call { teatime.ffi.linkOf(app.native, native()) })

    /** Makes options of links. */
    public companion object {
        /**
         * Options to join the session that a link leads to, with the root model's options of the link.
         *
         * @throws TeatimeException [ErrorCode.BAD_LINK] if the link leads to another app, [ErrorCode.BAD_OPTIONS] if
         *   the app cannot read the link's options
         */
        public fun of(app: App, link: JoinLink): JoinOptions {
            val options = call { teatime.ffi.optionsOfLink(app.native, link.native) }
            return JoinOptions(app, link.reflector, link.name, link.password, Json.parseToJsonElement(options))
        }
    }

    internal fun native(): NativeOptions = NativeOptions(
        reflector = reflector,
        name = name,
        password = password,
        options = if (options is JsonNull) null else options.toString(),
        viewData = viewData?.toString(),
        // A number that is out of range stays out of range.
        ticksPerSecond = ticksPerSecond?.coerceIn(0, UShort.MAX_VALUE.toInt())?.toUShort(),
        trustedCertificates = trustedCertificates,
        agent = agent,
        evidenceDir = evidenceDirectory,
        blobCacheDir = blobCacheDirectory,
        blobCacheBytes = blobCacheBytes?.coerceAtLeast(0)?.toULong(),
    )
}
