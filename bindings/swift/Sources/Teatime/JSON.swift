import Foundation

/// Data crosses into the library and back as JSON.
enum JSON {
  /// - Throws: ``TeatimeError/Code/encoding`` for what JSON cannot express, such as a NaN.
  static func encode(_ value: some Encodable) throws(TeatimeError) -> Data {
    do {
      return try JSONEncoder().encode(value)
    } catch {
      throw TeatimeError(.encoding, "this cannot be expressed in JSON: \(error)")
    }
  }

  /// Nothing stands for null.
  /// - Throws: ``TeatimeError/Code/wrongType`` for what is of another type.
  static func decode<Value: Decodable>(
    _ type: Value.Type, from data: Data
  ) throws(TeatimeError) -> Value {
    do {
      return try JSONDecoder().decode(type, from: data.isEmpty ? Data("null".utf8) : data)
    } catch {
      throw TeatimeError(.wrongType, "this is no \(type): \(error)")
    }
  }

  /// As text.
  static func text(of value: (any Encodable)?) throws(TeatimeError) -> String? {
    guard let value else { return nil }
    return String(decoding: try encode(value), as: UTF8.self)
  }
}
