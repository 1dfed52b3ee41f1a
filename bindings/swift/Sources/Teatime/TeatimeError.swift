import Foundation
internal import TeatimeFFI

/// Why a call failed, or a connection broke: a code to switch on, and a message for people.
public struct TeatimeError: Error, Sendable, Hashable {
  /// What was wrong.
  public let code: Code
  /// One line for people, in English.
  public let message: String

  /// An error of an app's own that looks like those of the library.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}

extension TeatimeError {
  /// What the library throws. Whatever is none of its own failures is a bug of it.
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

/// Calls the library; all that it throws are ``TeatimeError``s.
func call<Answer>(_ body: () throws -> Answer) throws(TeatimeError) -> Answer {
  do { return try body() } catch { throw TeatimeError(error) }
}
