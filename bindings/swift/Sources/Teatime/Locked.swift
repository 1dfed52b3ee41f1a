import Foundation

/// A value that one thread at a time may use. (`Mutex` of the standard library is too new for the
/// systems that this package supports.)
///
/// Sendable, although the compiler cannot see it: `value` is only used while `lock` is held.
final class Locked<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  /// Calls `body` with the value. `body` must not use this object again.
  func with<Answer, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    lock.lock()
    defer { lock.unlock() }
    return try body(&value)
  }
}
