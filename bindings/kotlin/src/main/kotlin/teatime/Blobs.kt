package teatime

import kotlin.jvm.JvmInline
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.PrimitiveSerialDescriptor
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import teatime.ffi.Session as NativeSession
import teatime.ffi.Transfer as NativeTransfer

/**
 * Stands for a blob in models and events: data that is too large for an event, stored beside the session by
 * [Session.store].
 *
 * However it is serialized it is a text, `teatime-blob:` and 112 digits, and a model keeps it as a text: so
 * what refers to a blob is seen by everybody who looks after blobs. A blob stays as long as the state of a
 * model has its handle, and a while longer. A handle is bound to app, room and password.
 *
 * Making one of a text that is none, or of one that was cut, fails with [ErrorCode.BAD_BLOB_HANDLE].
 *
 * @property text the text
 */
@JvmInline
@Serializable(with = BlobHandleSerializer::class)
public value class BlobHandle(public val text: String) {
    init {
        val digits = text.removePrefix(PREFIX)
        val fine = text.startsWith(PREFIX) && digits.length == NAME + SIZE + MARK &&
            digits.all { it in '0'..'9' || it in 'a'..'f' } && digits[NAME] < '8'
        if (!fine) throw TeatimeException.of(ErrorCode.BAD_BLOB_HANDLE, "the text is no handle of a blob")
    }

    /** How many bytes the blob has: less than 2^63. */
    public val size: Long get() = text.drop(PREFIX.length + NAME).take(SIZE).toULong(16).toLong()

    override fun toString(): String = text

    private companion object {
        const val PREFIX = "teatime-blob:"

        /** Digits of what it is known by, of its size, and of the mark of its room. */
        const val NAME = 64
        const val SIZE = 16
        const val MARK = 32
    }
}

/** What is no handle is told as whatever else cannot be decoded. */
internal object BlobHandleSerializer : KSerializer<BlobHandle> {
    override val descriptor: SerialDescriptor = PrimitiveSerialDescriptor("teatime.BlobHandle", PrimitiveKind.STRING)

    override fun serialize(encoder: Encoder, value: BlobHandle): Unit = encoder.encodeString(value.text)

    override fun deserialize(decoder: Decoder): BlobHandle = try {
        BlobHandle(decoder.decodeString())
    } catch (wrong: TeatimeException) {
        throw SerializationException(wrong.message, wrong)
    }
}

/**
 * How far a blob is on its way.
 *
 * @property done bytes of the blob that are where they shall be
 * @property total bytes of the blob; 0 as long as nothing has begun
 */
public data class TransferProgress(val done: Long, val total: Long) {
    /** From 0 to 1. */
    public val fraction: Float get() = if (total == 0L) 0f else (done.toDouble() / total).toFloat()
}

/**
 * Starts something and waits until it is over. Deriving keys and copying take their time: that is not for the
 * caller's thread.
 */
internal suspend fun Driver.transfer(
    progress: (TransferProgress) -> Unit,
    start: (NativeSession) -> NativeTransfer,
): ByteArray = withContext(Driver.dispatcher) {
    val bell = Channel<Unit>(Channel.CONFLATED)
    val transfer = ask(start)
    try {
        call { transfer.setWaker(Driver.Bell(bell)) }
        var told = TransferProgress(0, 0)
        var result: ByteArray? = null
        while (result == null) {
            bell.receive()
            result = call { transfer.result() }
            val now = call { transfer.progress() }.run { TransferProgress(done.toLong(), total.toLong()) }
            if (now != told) progress(now)
            told = now
        }
        result
    } finally {
        // Nobody is called any more after this, and what is under way is cancelled.
        transfer.destroy()
    }
}
