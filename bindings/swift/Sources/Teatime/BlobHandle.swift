/// Stands for a blob in models and events: data that is too large for an event, stored beside the session
/// by ``Session/store(data:progress:)``.
///
/// However it is coded it is a text, `teatime-blob:` and 112 digits, and a model keeps it as a text: so
/// what refers to a blob is seen by everybody who looks after blobs. A blob stays as long as the state of
/// a model has its handle, and a while longer. A handle is bound to app, room and password.
public struct BlobHandle: Sendable, Hashable, Codable, LosslessStringConvertible {
  /// The text.
  public let description: String
  /// How many bytes the blob has.
  public let size: Int

  private static let prefix = "teatime-blob:"
  /// The digits of what it is known by, of its size, and of the mark of its room.
  private static let digits = (name: 64, size: 16, mark: 32)

  /// Fails if the text is none: then it was cut, or has been something else all the time.
  public init?(_ description: String) {
    let text = description.utf8
    let isDigit = { (digit: UInt8) in
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit)
        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(digit)
    }
    let digits = text.dropFirst(Self.prefix.utf8.count)
    guard text.starts(with: Self.prefix.utf8), digits.allSatisfy(isDigit),
      digits.count == Self.digits.name + Self.digits.size + Self.digits.mark,
      let size = Int(
        String(decoding: digits.dropFirst(Self.digits.name).prefix(Self.digits.size), as: UTF8.self),
        radix: 16)
    else { return nil }
    self.description = description
    self.size = size
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let handle = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "this is no handle of a blob")
    }
    self = handle
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// How far a blob is on its way.
public struct TransferProgress: Sendable, Hashable {
  /// Bytes of the blob that are where they shall be.
  public let done: Int
  /// Bytes of the blob; 0 as long as nothing has begun.
  public let total: Int

  /// From 0 to 1.
  public var fraction: Double { total == 0 ? 0 : Double(done) / Double(total) }
}
