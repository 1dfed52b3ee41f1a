package teatime

import java.nio.charset.CharacterCodingException
import teatime.ffi.CallException
import teatime.ffi.InternalException

/** A call of an object of the native library, with the failures that apps know. */
internal inline fun <T> call(block: () -> T): T = try {
    block()
} catch (failed: CallException.Failed) {
    throw TeatimeException.of(errorCode(failed.status), failed.why)
} catch (panic: InternalException) {
    throw TeatimeException.of(ErrorCode.PANIC, panic.message ?: "the library panicked", panic)
} catch (text: CharacterCodingException) {
    throw TeatimeException.of(ErrorCode.INVALID_UTF8, "the text has half a surrogate pair", text)
} catch (_: IllegalStateException) {
    // All that the generated code means by this: the object has been freed.
    throw TeatimeException.over()
}

/** The same where it may be the first call of all: the library is loaded. */
internal inline fun <T> firstCall(block: () -> T): T {
    NativeCode.load()
    return call(block)
}
