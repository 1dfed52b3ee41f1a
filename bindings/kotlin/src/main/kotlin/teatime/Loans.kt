package teatime

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.util.concurrent.ConcurrentHashMap
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull

/**
 * Lends JSON to native code, in memory that it can read.
 *
 * The generated code passes on the address only. Without a reference from here, the buffer could be collected and
 * its memory freed while native code reads it.
 */
internal fun <T> lend(value: JsonElement, use: (ByteBuffer) -> T): T {
    if (value is JsonNull) return use(NOTHING)
    return lend(direct(value.toString()), use)
}

/** Lends bytes to native code. */
internal fun <T> lend(bytes: ByteArray, use: (ByteBuffer) -> T): T = lend(direct(bytes), use)

private fun <T> lend(buffer: ByteBuffer, use: (ByteBuffer) -> T): T {
    val loan = Loan(buffer)
    loans += loan
    try {
        return use(loan.buffer)
    } finally {
        loans -= loan
    }
}

private class Loan(val buffer: ByteBuffer)

private val loans: MutableSet<Loan> = ConcurrentHashMap.newKeySet()

private val NOTHING: ByteBuffer = ByteBuffer.allocateDirect(0)

private fun direct(text: String): ByteBuffer {
    val bytes = try {
        text.encodeToByteArray(throwOnInvalidSequence = true)
    } catch (error: CharacterCodingException) {
        throw TeatimeException.of(ErrorCode.INVALID_UTF8, "not valid UTF-8: the payload has half a surrogate pair", error)
    }
    return direct(bytes)
}

private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).apply {
    put(bytes)
    // Called as a method of Buffer, because ByteBuffer has no method of its own on old versions of Android.
    (this as Buffer).flip()
}
