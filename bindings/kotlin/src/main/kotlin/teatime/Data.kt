package teatime

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.util.concurrent.ConcurrentHashMap
import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.SerializationException
import kotlinx.serialization.SerializationStrategy
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.serializer

/** Models may tell more than a view wants to know; what a view tells is complete. */
@PublishedApi
internal val json: Json = Json {
    ignoreUnknownKeys = true
    encodeDefaults = true
}

/**
 * Lends JSON to native code, in memory that it can read.
 *
 * The generated code passes on the address alone: nothing else would keep the buffer from being collected, and
 * its memory from being freed, while native code reads it.
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
        throw TeatimeException.of(ErrorCode.INVALID_UTF8, "the data has half a surrogate pair", error)
    }
    return direct(bytes)
}

private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).apply {
    put(bytes)
    // As a method of Buffer: on old versions of Android ByteBuffer has none of its own.
    (this as Buffer).flip()
}

@PublishedApi
internal fun <T> encode(serializer: SerializationStrategy<T>, value: T): JsonElement = try {
    json.encodeToJsonElement(serializer, value)
} catch (error: IllegalArgumentException) {
    throw TeatimeException.of(ErrorCode.ENCODING, "this cannot be expressed as JSON: ${error.message}", error)
}

@PublishedApi
internal fun <T> decode(deserializer: DeserializationStrategy<T>, text: String): T = try {
    json.decodeFromString(deserializer, text)
} catch (error: SerializationException) {
    throw TeatimeException.of(ErrorCode.WRONG_TYPE, "the data is something else: ${error.message}", error)
} catch (error: IllegalArgumentException) {
    throw TeatimeException.of(ErrorCode.WRONG_TYPE, "the data is something else: ${error.message}", error)
}

/**
 * A serializable value as JSON, for where options, view data or arguments are given.
 *
 * @throws TeatimeException [ErrorCode.ENCODING] if JSON cannot express it
 */
public inline fun <reified T> toJson(value: T): JsonElement = encode(serializer<T>(), value)
