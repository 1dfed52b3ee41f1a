internal import TeatimeFFI

extension Session {
  /// Whether the view is ready: the app has built it, and the model is not lost. A short outage does not change
  /// this.
  public var isReady: Bool { state.with { $0.isReady } }

  /// Waits until the view is ready; returns immediately while it is. Cancelling the task only ends the wait.
  ///
  /// - Throws: The reason for the end of the session if it was left or has failed; `CancellationError`.
  public func ready() async throws {
    try await wait(for: nil)
  }

  /// Waits until the model has handled a published event. During an outage it goes on waiting.
  ///
  /// - Throws: The reason for the end of the session if it was left or has failed; `CancellationError`.
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
      // The event may have been applied before the waiter was registered.
      scheduler.wake()
    }
    // In a cancelled task the loop ends without an error.
    for try await _ in stream {}
    try Task.checkCancellation()
  }

  private func forgetWaiter(_ number: UInt64) {
    _ = state.with { $0.waiters.removeValue(forKey: number) }
  }
}
