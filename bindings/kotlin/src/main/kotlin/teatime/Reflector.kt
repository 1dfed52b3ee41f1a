package teatime

import teatime.ffi.Reflector as NativeReflector

/** A reflector on this machine: the server that gives the events of sessions one order. */
public class Reflector private constructor(private val native: NativeReflector) : AutoCloseable {
    /** The address by which sessions are joined, such as `ws://127.0.0.1:9090`. */
    public val url: String = call { native.url() }

    /**
     * Ends it, if this process hosts it: its clients are told to come back later. Blocks for up to two
     * seconds. Does nothing the second time.
     */
    override fun close() {
        if (native.uniffiIsDestroyed) return
        try {
            call { native.stop() }
        } finally {
            native.destroy()
        }
    }

    /** Where reflectors come from. */
    public companion object {
        /**
         * Hosts a reflector in this process, on threads of its own. It listens at an address such as
         * `127.0.0.1:9090`; port 0 picks a free one. Blocks until it listens.
         *
         * @throws TeatimeException [ErrorCode.IO] if that is not possible
         */
        public fun start(listen: String): Reflector = firstCall { Reflector(NativeReflector.start(listen)) }

        /**
         * Finds the reflector of this machine; if there is none this process hosts it, reachable from this
         * machine only. Blocks until that is known.
         *
         * @throws TeatimeException [ErrorCode.IO] if none can be found or hosted
         */
        public fun local(): Reflector = firstCall { Reflector(NativeReflector.local()) }
    }
}
