package teatime

import teatime.ffi.TeaConnection
import teatime.ffi.TeaStatus

/** The state of the connection to the reflector. */
public sealed interface ConnectionState {
    /**
     * The session tries to reach the reflector for the first time.
     *
     * @property reason why the newest attempt failed, if one has failed
     */
    public data class Connecting(val reason: TeatimeException?) : ConnectionState

    /** The reflector has let the client in, and the client loads the session. */
    public data object CatchingUp : ConnectionState

    /** The model runs, and the app can build a view from it. */
    public data object Live : ConnectionState

    /**
     * The connection broke. The model stands still until the connection is back.
     *
     * @property reason why it broke, or why the newest attempt to reconnect failed
     */
    public data class Reconnecting(val reason: TeatimeException?) : ConnectionState

    /** The app left the session. */
    public data object Left : ConnectionState

    /**
     * The session has given up, because another attempt would fail in the same way.
     *
     * @property reason why it failed
     */
    public data class Failed(val reason: TeatimeException) : ConnectionState
}

internal fun connectionState(state: TeaConnection, status: TeaStatus?, why: String?): ConnectionState {
    val reason = status?.let { TeatimeException.of(errorCode(it), why.orEmpty()) }
    return when (state) {
        TeaConnection.CONNECTING -> ConnectionState.Connecting(reason)
        TeaConnection.CATCHING_UP -> ConnectionState.CatchingUp
        TeaConnection.LIVE -> ConnectionState.Live
        TeaConnection.RECONNECTING -> ConnectionState.Reconnecting(reason)
        TeaConnection.LEFT -> ConnectionState.Left
        TeaConnection.FAILED -> ConnectionState.Failed(reason ?: TeatimeException.over())
    }
}
