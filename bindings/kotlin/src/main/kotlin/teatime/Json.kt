package teatime

import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.SerializationException
import kotlinx.serialization.SerializationStrategy
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.serializer

/** Ignores fields of models that a view does not read. Writes all fields of a value. */
@PublishedApi
internal val json: Json = Json {
    ignoreUnknownKeys = true
    encodeDefaults = true
}

@PublishedApi
internal fun <T> encode(serializer: SerializationStrategy<T>, value: T): JsonElement = try {
    json.encodeToJsonElement(serializer, value)
} catch (error: IllegalArgumentException) {
    throw TeatimeException.of(ErrorCode.ENCODING, "JSON cannot express the value: ${error.message}", error)
}

@PublishedApi
internal fun <T> decode(deserializer: DeserializationStrategy<T>, text: String): T = try {
    json.decodeFromString(deserializer, text)
} catch (error: SerializationException) {
    throw wrongType(error)
} catch (error: IllegalArgumentException) {
    throw wrongType(error)
}

private fun wrongType(error: Exception) =
    TeatimeException.of(ErrorCode.WRONG_TYPE, "the value is of another type: ${error.message}", error)

/**
 * A serializable value as JSON, for options, view data or arguments.
 *
 * @throws TeatimeException [ErrorCode.ENCODING] if JSON cannot express it
 */
public inline fun <reified T> toJson(value: T): JsonElement = encode(serializer<T>(), value)
