/// The id of a view, and so of a participant. Random and unique; it stays the same over reconnects.
/// In JSON it is a string.
public struct ViewID: Sendable, Hashable, Codable, CustomStringConvertible {
  /// 32 hexadecimal digits.
  public let description: String

  /// Fails if the text is not 32 lower-case hexadecimal digits.
  public init?(_ hexadecimal: String) {
    let digits = hexadecimal.utf8
    let isDigit = { (digit: UInt8) in
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit)
        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(digit)
    }
    guard digits.count == 32, digits.allSatisfy(isDigit) else { return nil }
    description = hexadecimal
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let id = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a valid view id: expected 32 hexadecimal digits")
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
