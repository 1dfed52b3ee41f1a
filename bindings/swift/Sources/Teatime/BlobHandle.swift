/// Stands for a blob in models and events. A blob holds bytes that are too large for an event;
/// ``Session/store(bytes:progress:)`` stores it beside the session.
///
/// Every coder gets the handle as text: `teatime-blob:` and 112 hexadecimal digits. Models hold it as text, too,
/// so that reflectors and tools find the blobs that a state refers to. The reflector deletes a blob some time
/// after the last state with its handle. A handle is bound to app, room and password.
public struct BlobHandle: Sendable, Hashable, Codable, LosslessStringConvertible {
  /// The handle as text.
  public let description: String
  /// The size of the blob in bytes.
  public let size: Int

  private static let prefix = "teatime-blob:"
  /// The number of digits of the blob's name, of its size, and of the mark of its room.
  private static let digits = (name: 64, size: 16, mark: 32)

  /// Fails if the text is not a complete handle.
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
        in: container,
        debugDescription: "not a valid blob handle: expected teatime-blob: and 112 hexadecimal digits")
    }
    self = handle
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
