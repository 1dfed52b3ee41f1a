import Foundation

/// Payloads cross into the library and back as JSON.
enum JSON {
  /// - Throws: ``TeatimeError/Code/encoding`` if JSON cannot express the value, such as a NaN.
  static func encode(_ value: some Encodable) throws(TeatimeError) -> Data {
    do {
      return try JSONEncoder().encode(value)
    } catch {
      throw TeatimeError(.encoding, "JSON cannot express the value: \(error)")
    }
  }

  /// No bytes stand for null.
  /// - Throws: ``TeatimeError/Code/wrongType`` if the value is of another type.
  static func decode<Value: Decodable>(
    _ type: Value.Type, from payload: Data
  ) throws(TeatimeError) -> Value {
    do {
      return try JSONDecoder().decode(type, from: payload.isEmpty ? Data("null".utf8) : payload)
    } catch {
      throw TeatimeError(.wrongType, "not a valid \(type): \(error)")
    }
  }

  /// A value that is JSON already.
  struct Text: Encodable, Sendable {
    let text: String

    /// Only ``JSON/text(of:)`` takes such a value.
    func encode(to encoder: any Encoder) throws {
      let context = EncodingError.Context(codingPath: encoder.codingPath, debugDescription: "it is JSON already")
      throw EncodingError.invalidValue(text, context)
    }
  }

  /// The value as text.
  static func text(of value: (any Encodable)?) throws(TeatimeError) -> String? {
    if let text = value as? Text { return text.text }
    guard let value else { return nil }
    return String(decoding: try encode(value), as: UTF8.self)
  }
}
