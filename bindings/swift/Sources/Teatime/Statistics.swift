internal import TeatimeFFI

/// Statistics of a session.
public struct Statistics: Sendable, Hashable {
  /// How many of the last hundred round trips to the reflector were measured.
  public let roundTrips: Int
  /// The newest round trip.
  public let roundTripLast: Duration
  /// The median of the round trips.
  public let roundTripMedian: Duration
  /// Only one round trip in a hundred took longer.
  public let roundTripP99: Duration
  /// Sequence number of the newest event that was simulated.
  public let seq: UInt64
  /// How many models there are.
  public let models: Int
  /// How many future messages wait.
  public let futures: Int
  /// For how long the connection has been broken; zero while it is not.
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
