/// The id of a model within its session.
public struct ModelID: Sendable, Hashable, Codable, RawRepresentable {
  /// The id as a number, the same for all participants.
  public let rawValue: UInt64

  /// The model with this number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The root model: the first of every session. It leads to the others.
  public static let root = ModelID(rawValue: 1)
}
