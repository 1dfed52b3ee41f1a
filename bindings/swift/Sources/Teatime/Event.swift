import Foundation

/// Something that was published on a topic.
public struct Event: Sendable, Hashable {
  /// Scope of the topic.
  public let scope: String
  /// Event of the topic.
  public let event: String
  /// What was published, as JSON.
  public let data: Data

  /// What was published, as a Swift value.
  ///
  /// - Throws: ``TeatimeError/Code/wrongType`` if it is none of this type.
  public func decode<Value: Decodable>(as type: Value.Type = Value.self) throws(TeatimeError)
    -> Value
  {
    try JSON.decode(type, from: data)
  }
}

/// Which events a subscription brings.
public enum Handling: Sendable {
  /// All of them, in order. What is not taken waits, without a limit.
  case queued
  /// Only the newest that was not taken yet: for what is shown on a screen.
  case latest
}

/// A send that the reflector will order: see ``Session/applied(_:)``.
public struct Receipt: Sendable, Hashable {
  let number: UInt64
}
