package teatime

import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import teatime.ffi.JoinOptions as NativeOptions

/**
 * Which session to join, and how. App, name, [options] and the version of the models are the session's
 * identity: participants who differ in one of them are in different sessions.
 *
 * @property app the models
 * @property reflector where the reflector listens, such as `ws://127.0.0.1:9090` or `wss://example.org`
 * @property name the name of the room, 1 to 128 bytes of UTF-8
 * @property password with one everything is encrypted end to end
 * @property options the root model's options; [toJson] makes them of a serializable value
 * @property viewData given to all models when this view joins and exits
 * @property ticksPerSecond how often the session's time goes on while nothing happens, 1 to 60, if this is
 *   the session's first participant; 20 if not said
 * @property trustedCertificates certificates (PEM) that are trusted besides those that the platform trusts
 * @property agent name and version of the program, for the reflector's log
 * @property evidenceDirectory where a file of evidence goes if this participant diverges; what is in it is
 *   plain, also if there is a password
 * @property blobCacheDirectory where pieces of blobs go that were fetched, so that they need not be fetched again:
 *   a folder of the app's caches, say; what is in it is encrypted if there is a password
 * @property blobCacheBytes how many bytes that may have; 256 MiB if not said; what was not used for longest goes
 *   first
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
    /** Without the password, so that it does not end up in a log. */
    override fun toString(): String = "JoinOptions($app, $reflector, $name)"

    internal fun native(): NativeOptions = NativeOptions(
        reflector = reflector,
        name = name,
        password = password,
        options = if (options is JsonNull) null else options.toString(),
        viewData = viewData?.toString(),
        // What is out of range stays out of range.
        ticksPerSecond = ticksPerSecond?.coerceIn(0, UShort.MAX_VALUE.toInt())?.toUShort(),
        trustedCertificates = trustedCertificates,
        agent = agent,
        evidenceDir = evidenceDirectory,
        blobCacheDir = blobCacheDirectory,
        blobCacheBytes = blobCacheBytes?.coerceAtLeast(0)?.toULong(),
    )
}
