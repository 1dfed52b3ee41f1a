/// Sends the same elements to any number of consumers.
final class Broadcast<Element: Sendable>: Sendable {
  private struct State {
    /// The first element for a new consumer, if there is one.
    var current: Element?
    var ended = false
    var next = 0
    var consumers: [Int: AsyncStream<Element>.Continuation] = [:]
  }

  private let state: Locked<State>
  private let remembers: Bool

  /// With `first`, new consumers begin with the last element; without it, with the next one.
  init(startingWith first: Element? = nil) {
    state = Locked(State(current: first))
    remembers = first != nil
  }

  /// The last element, if it is remembered.
  var current: Element? { state.with { $0.current } }

  var hasConsumers: Bool { state.with { !$0.consumers.isEmpty } }

  func send(_ element: Element) {
    state.with { state in
      if state.ended { return }
      if remembers { state.current = element }
      for consumer in state.consumers.values { consumer.yield(element) }
    }
  }

  /// Ends all sequences. A later sequence has the remembered element, and ends.
  func end() {
    let consumers = state.with { state in
      state.ended = true
      defer { state.consumers = [:] }
      return state.consumers
    }
    // Without the lock: this calls `forget`.
    for consumer in consumers.values { consumer.finish() }
  }

  /// All elements from now on, with a bound on those that wait.
  func sequence(
    buffering policy: AsyncStream<Element>.Continuation.BufferingPolicy
  ) -> AsyncStream<Element> {
    let (stream, continuation) = AsyncStream.makeStream(of: Element.self, bufferingPolicy: policy)
    let number: Int? = state.with { state in
      if let current = state.current { continuation.yield(current) }
      if state.ended { return nil }
      state.next += 1
      state.consumers[state.next] = continuation
      return state.next
    }
    guard let number else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in self?.forget(number) }
    return stream
  }

  private func forget(_ number: Int) {
    // The continuation is dropped after the lock.
    _ = state.with { $0.consumers.removeValue(forKey: number) }
  }
}
