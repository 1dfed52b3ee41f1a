import Foundation

/// An event that a model or a view published.
public struct Event: Sendable, Hashable {
  /// Scope of the topic. Never `*`, so a subscription to every scope learns here what it hears.
  public let scope: String
  /// Event of the topic. Never `*`.
  public let event: String
  /// The model that published it. `nil` for an event of ``Session/publishToViews(_:_:_:)``.
  public let model: ModelID?
  /// The payload as JSON. Empty if JSON cannot express it.
  public let payload: Data

  /// The payload as a Swift value.
  ///
  /// - Throws: ``TeatimeError/Code/wrongType`` if the payload is of another type.
  public func decode<Value: Decodable>(as type: Value.Type = Value.self) throws(TeatimeError)
    -> Value
  {
    try JSON.decode(type, from: payload)
  }
}

/// Which events a subscription delivers.
public enum Handling: Sendable {
  /// All events, in order. At most 65,536 events wait; then the sequence ends behind them.
  case queued
  /// The newest event only. It replaces an event that was not taken. Enough for a screen.
  case latest
}

/// The result of publishing. With ``Session/applied(_:)`` the caller waits until the model has handled the event.
public struct Receipt: Sendable, Hashable {
  let number: UInt64
}
