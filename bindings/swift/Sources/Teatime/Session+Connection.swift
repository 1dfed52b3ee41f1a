internal import TeatimeFFI

extension Session {
  /// How it stands with its reflector.
  public var connection: Connection { connections.current ?? Connection(.connecting) }

  /// How it stands now, and then each change, and each attempt that has failed. Ends after
  /// ``Connection/State/left`` or ``Connection/State/failed``. Any number of consumers may each ask
  /// for a sequence.
  public var connectionStates: AsyncStream<Connection> {
    connections.sequence(keeping: .bufferingNewest(1024))
  }

  /// How far the catch-up is, from 0 to 1: now, and then whenever it has changed. Who is slow gets the
  /// newest only.
  public var progress: AsyncStream<Double> { progresses.sequence(keeping: .bufferingNewest(1)) }

  /// What it tells from now on. The newest 1024 wait to be taken.
  public var notices: AsyncStream<Notice> { noticed.sequence(keeping: .bufferingNewest(1024)) }

  /// Makes a new connection at once, for who knows that the line is dead. The others do not notice if
  /// it takes less than ten seconds. Does nothing when the session is over.
  public func reconnect() {
    // It only fails if the library has a bug; the session notices.
    try? ffi.reconnect()
  }
}
