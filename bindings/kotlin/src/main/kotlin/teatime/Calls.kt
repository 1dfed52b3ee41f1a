package teatime

import java.nio.charset.CharacterCodingException
import teatime.ffi.CallException
import teatime.ffi.InternalException

/** Calls the native library, and turns its failures into [TeatimeException]s. */
internal inline fun <T> call(block: () -> T): T = try {
    block()
} catch (failed: CallException.Failed) {
    throw TeatimeException.of(errorCode(failed.status), failed.why)
} catch (panic: InternalException) {
    throw TeatimeException.of(ErrorCode.PANIC, panic.message ?: "the library panicked", panic)
} catch (text: CharacterCodingException) {
    throw TeatimeException.of(ErrorCode.INVALID_UTF8, "not valid UTF-8: the text has half a surrogate pair", text)
} catch (_: IllegalStateException) {
    // The generated code throws this only if the object was freed.
    throw TeatimeException.over()
}

/** The same for calls that may be the first of the process: loads the library. */
internal inline fun <T> firstCall(block: () -> T): T {
    NativeCode.load()
    return call(block)
}
