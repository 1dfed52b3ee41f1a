package teatime

import kotlin.jvm.JvmInline
import kotlinx.serialization.KSerializer
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.descriptors.PrimitiveKind
import kotlinx.serialization.descriptors.PrimitiveSerialDescriptor
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder

/**
 * Stands for a blob in models and events. A blob holds bytes that are too large for an event; [Session.store] stores
 * it beside the session.
 *
 * Every serialization format gets the handle as text: `teatime-blob:` and 112 hexadecimal digits. Models hold it as
 * text, too, so that reflectors and tools find the blobs that a state refers to. The reflector deletes a blob some
 * time after the last state with its handle. A handle is bound to app, room and password.
 *
 * The constructor fails with [ErrorCode.BAD_BLOB_HANDLE] if the text is not a complete handle.
 *
 * @property text the handle as text
 */
@JvmInline
@Serializable(with = BlobHandleSerializer::class)
public value class BlobHandle(public val text: String) {
    init {
        val digits = text.removePrefix(PREFIX)
        val fine = text.startsWith(PREFIX) && digits.length == NAME + SIZE + MARK &&
            digits.all { it in '0'..'9' || it in 'a'..'f' } && digits[NAME] < '8'
        if (!fine) throw TeatimeException.of(ErrorCode.BAD_BLOB_HANDLE, "not a valid blob handle: expected $PREFIX and ${NAME + SIZE + MARK} hexadecimal digits")
    }

    /** The size of the blob in bytes: less than 2^63. */
    public val size: Long get() = text.drop(PREFIX.length + NAME).take(SIZE).toULong(16).toLong()

    override fun toString(): String = text

    private companion object {
        const val PREFIX = "teatime-blob:"

        /** Digits of the blob's name, of its size, and of the mark of its room. */
        const val NAME = 64
        const val SIZE = 16
        const val MARK = 32
    }
}

/** Reports invalid handles as the format's own decoding error. */
internal object BlobHandleSerializer : KSerializer<BlobHandle> {
    override val descriptor: SerialDescriptor = PrimitiveSerialDescriptor("teatime.BlobHandle", PrimitiveKind.STRING)

    override fun serialize(encoder: Encoder, value: BlobHandle): Unit = encoder.encodeString(value.text)

    override fun deserialize(decoder: Decoder): BlobHandle = try {
        BlobHandle(decoder.decodeString())
    } catch (wrong: TeatimeException) {
        throw SerializationException(wrong.message, wrong)
    }
}
