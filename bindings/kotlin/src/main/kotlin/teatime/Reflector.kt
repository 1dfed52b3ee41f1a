package teatime

import java.util.concurrent.ConcurrentHashMap
import teatime.ffi.Reflector as NativeReflector

/**
 * A reflector on this machine: the server that gives the events of a session one order. One that this process hosts runs
 * until [close], or until the process ends.
 */
public class Reflector private constructor(private val native: NativeReflector) : AutoCloseable {
    /** The address at which clients join sessions, such as `ws://127.0.0.1:9090`. */
    public val url: String = call { native.url() }

    init {
        open += this
    }

    /**
     * Stops the reflector if this process hosts it, and asks its clients to come back later. Blocks for up to two
     * seconds. A second call does nothing.
     */
    override fun close() {
        if (native.uniffiIsDestroyed) return
        try {
            call { native.stop() }
        } finally {
            open -= this
            native.destroy()
        }
    }

    /** Starts or finds reflectors. */
    public companion object {
        // The garbage collector would stop a reflector after the last use of its object.
        private val open: MutableSet<Reflector> = ConcurrentHashMap.newKeySet()

        /**
         * Hosts a reflector in this process, on threads of its own. It listens at an address such as
         * `127.0.0.1:9090`; port 0 picks a free port. Blocks until it listens.
         *
         * @throws TeatimeException [ErrorCode.IO] if it cannot listen there
         */
        public fun start(listen: String): Reflector = firstCall { Reflector(NativeReflector.start(listen)) }

        /**
         * Finds the reflector of this machine. If none runs, this process hosts one that only this machine can reach.
         * Blocks until the reflector is found or listens.
         *
         * @throws TeatimeException [ErrorCode.IO] if neither is possible
         */
        public fun local(): Reflector = firstCall { Reflector(NativeReflector.local()) }
    }
}
