package teatime

import com.sun.jna.Pointer
import teatime.ffi.App as NativeApp

/** An app: the models that its sessions are made of. It may be used for any number of sessions. */
public class App private constructor(internal val native: NativeApp) {
    /** Its id, such as `teatime.chat`. */
    public val id: String = call { native.id() }

    override fun toString(): String = id

    /** Where apps come from. */
    public companion object {
        /**
         * The chat that comes with the library.
         *
         * @throws TeatimeException.LibraryUnavailable if the native library is missing or another one
         */
        public fun chat(): App = firstCall { App(NativeApp.chat()) }

        /**
         * The app whose models an own build of the native library contains: [symbol] is the function that it
         * exports for that, which takes nothing and returns what `export_app` of the Rust crate gives.
         *
         * Nothing can check that the function is of that kind: any other one may end the process.
         *
         * @throws TeatimeException [ErrorCode.NOT_FOUND] if the library exports no such function,
         *   [ErrorCode.WRONG_HANDLE] if it returned no app, [ErrorCode.UNSUPPORTED] if the library is missing
         */
        public fun exported(symbol: String): App {
            val function = try {
                NativeCode.load().getFunction(symbol)
            } catch (error: UnsatisfiedLinkError) {
                val message = "the native library exports no function $symbol"
                throw TeatimeException.of(ErrorCode.NOT_FOUND, message, error)
            }
            return adopt(Pointer.nativeValue(function.invokePointer(emptyArray())))
        }

        internal fun adopt(address: Long): App = firstCall { App(NativeApp.adopt(address.toULong())) }
    }
}
