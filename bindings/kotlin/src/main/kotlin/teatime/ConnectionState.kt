package teatime

import teatime.ffi.TeaConnection
import teatime.ffi.TeaStatus

/** How a session stands with its reflector. */
public sealed interface ConnectionState {
    /**
     * It tries to reach the reflector for the first time.
     *
     * @property reason why the newest attempt failed, if there was one
     */
    public data class Connecting(val reason: TeatimeException?) : ConnectionState

    /** It has been let in and loads the session. */
    public data object CatchingUp : ConnectionState

    /** The model runs, and a view can be built from it. */
    public data object Live : ConnectionState

    /**
     * The connection broke; the model stands still until it is back.
     *
     * @property reason why it broke, or why the newest attempt to heal it failed
     */
    public data class Reconnecting(val reason: TeatimeException?) : ConnectionState

    /** It was left. */
    public data object Left : ConnectionState

    /**
     * It has given up: trying again would end the same way.
     *
     * @property reason why
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
