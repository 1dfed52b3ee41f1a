internal import TeatimeFFI

/// Statistics of a session.
public struct Statistics: Sendable, Hashable {
  /// The number of measured round trips to the reflector, at most the last hundred.
  public let roundTrips: Int
  /// The newest round trip.
  public let roundTripLast: Duration
  /// The median of the round trips.
  public let roundTripMedian: Duration
  /// The 99th percentile of the round trips.
  public let roundTripP99: Duration
  /// Sequence number of the newest simulated event.
  public let seq: UInt64
  /// The number of models.
  public let models: Int
  /// The number of scheduled future messages.
  public let futures: Int
  /// How long the connection has been broken; zero while it is not broken.
  public let reconnecting: Duration

  init(_ stats: TeaStats) {
    roundTrips = Int(stats.roundTrips)
    roundTripLast = .microseconds(stats.roundTripLastUs)
    roundTripMedian = .microseconds(stats.roundTripP50Us)
    roundTripP99 = .microseconds(stats.roundTripP99Us)
    seq = stats.seq
    models = Int(stats.models)
    futures = Int(stats.futures)
    reconnecting = .microseconds(stats.reconnectingUs)
  }
}
