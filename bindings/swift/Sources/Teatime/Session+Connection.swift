internal import TeatimeFFI

extension Session {
  /// The connection to the reflector.
  public var connection: Connection { connections.current ?? Connection(.connecting) }

  /// The current connection, then each change and each failed attempt. Ends after
  /// ``Connection/State/left`` or ``Connection/State/failed``. Each consumer asks for a sequence of its own. At
  /// most the newest 1024 elements wait.
  public var connectionStates: AsyncStream<Connection> {
    connections.sequence(buffering: .bufferingNewest(1024))
  }

  /// The progress of the catch-up, from 0 to 1: the current one, then each change. A slow consumer gets the
  /// newest only.
  public var progress: AsyncStream<Double> { progresses.sequence(buffering: .bufferingNewest(1)) }

  /// The session's notices from now on. At most the newest 1024 wait.
  public var notices: AsyncStream<Notice> { noticed.sequence(buffering: .bufferingNewest(1024)) }

  /// Makes a new connection immediately, when the app knows that the line is dead. The other participants do not
  /// notice if it takes less than ten seconds. Does nothing when the session is over.
  public func reconnect() {
    // Fails only by a bug of the library, which ends the session anyway.
    try? ffi.reconnect()
  }
}
