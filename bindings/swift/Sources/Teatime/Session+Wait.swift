internal import TeatimeFFI

extension Session {
  /// Whether a view can be read: it has been built, and is not lost. A short outage does not lose it.
  public var isReady: Bool { state.with { $0.isReady } }

  /// Waits until a view can be built from the model; returns at once while it can. Cancelling it only
  /// ends the wait.
  ///
  /// - Throws: Why there will be no view: the session was left, or has failed. `CancellationError`.
  public func ready() async throws {
    try await wait(for: nil)
  }

  /// Waits until the model has handled a published event, whatever it did with it. It lasts as long as
  /// the connection is broken.
  ///
  /// - Throws: Why that will not be: the session was left, or has failed. `CancellationError`.
  public func applied(_ receipt: Receipt) async throws {
    try await wait(for: receipt)
  }

  private func wait(for receipt: Receipt?) async throws {
    let (stream, continuation) = AsyncThrowingStream.makeStream(
      of: Never.self, throwing: (any Error).self)
    let number: UInt64? = state.with { state in
      if let error = state.ended {
        continuation.finish(throwing: error)
        return nil
      }
      if receipt == nil && state.isReady {
        continuation.finish()
        return nil
      }
      state.nextWaiter += 1
      state.waiters[state.nextWaiter] = Waiter(receipt: receipt, continuation: continuation)
      return state.nextWaiter
    }
    if let number {
      continuation.onTermination = { [weak self] _ in self?.forgetWaiter(number) }
      // A receipt may have been applied already.
      scheduler.wake()
    }
    // A cancelled task gets nothing more.
    for try await _ in stream {}
    try Task.checkCancellation()
  }

  private func forgetWaiter(_ number: UInt64) {
    _ = state.with { $0.waiters.removeValue(forKey: number) }
  }
}
