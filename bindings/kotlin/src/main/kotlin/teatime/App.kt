package teatime

import com.sun.jna.Pointer
import teatime.ffi.App as NativeApp

/** An app: the models of its sessions. Any number of sessions may use it. */
public class App private constructor(internal val native: NativeApp) {
    /** The app's id, such as `teatime.chat`. */
    public val id: String = call { native.id() }

    override fun toString(): String = id

    /** Finds apps in the native library. */
    public companion object {
        /**
         * The chat that is built into the library.
         *
         * @throws TeatimeException.LibraryUnavailable if the native library is missing, or is of another version
         */
        public fun chat(): App = firstCall { App(NativeApp.chat()) }

        /**
         * The app of a native library with models of its own. The library exports the function [symbol]: it has
         * no arguments and returns the result of `export_app` of the Rust crate.
         *
         * The library cannot check the function: a function of another kind may end the process.
         *
         * @throws TeatimeException [ErrorCode.NOT_FOUND] if the library does not export the function,
         *   [ErrorCode.WRONG_HANDLE] if the result is not an app, [ErrorCode.UNSUPPORTED] if the library is missing
         */
        public fun exported(symbol: String): App {
            val function = try {
                NativeCode.load().getFunction(symbol)
            } catch (error: UnsatisfiedLinkError) {
                val message = "the native library does not export a function $symbol"
                throw TeatimeException.of(ErrorCode.NOT_FOUND, message, error)
            }
            return adopt(Pointer.nativeValue(function.invokePointer(emptyArray())))
        }

        internal fun adopt(address: Long): App = firstCall { App(NativeApp.adopt(address.toULong())) }
    }
}
