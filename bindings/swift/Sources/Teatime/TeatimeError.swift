import Foundation
internal import TeatimeFFI

/// The reason why a call failed or a connection broke: a code to switch on, and a message for people.
public struct TeatimeError: Error, Sendable, Hashable {
  /// The code.
  public let code: Code
  /// One line for people, in English.
  public let message: String

  /// An error of the app in the form of the library's errors.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}

extension TeatimeError {
  /// The error for what the library throws. Anything but its declared failures is a bug of the library.
  init(_ error: any Error) {
    switch error {
    case let error as TeatimeError: self = error
    case CallError.Failed(let status, _, let why): self.init(Code(status), why)
    default: self.init(.panic, (error as? any LocalizedError)?.errorDescription ?? "\(error)")
    }
  }

  static let over = TeatimeError(.over, "the session was left, or has failed")
}

extension TeatimeError: LocalizedError, CustomStringConvertible {
  public var errorDescription: String? { message }
  public var description: String { "\(code.name): \(message)" }
}

/// Calls the library, and turns its failures into ``TeatimeError``s.
func call<Answer>(_ body: () throws -> Answer) throws(TeatimeError) -> Answer {
  do { return try body() } catch { throw TeatimeError(error) }
}
