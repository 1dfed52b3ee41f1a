/// Tells any number of consumers the same.
final class Broadcast<Element: Sendable>: Sendable {
  private struct State {
    /// What a new consumer is told first, if anything.
    var current: Element?
    var ended = false
    var next = 0
    var consumers: [Int: AsyncStream<Element>.Continuation] = [:]
  }

  private let state: Locked<State>
  private let remembers: Bool

  /// One that remembers what it said last starts with `first`.
  init(startingWith first: Element? = nil) {
    state = Locked(State(current: first))
    remembers = first != nil
  }

  /// What it said last, if it remembers.
  var current: Element? { state.with { $0.current } }

  var hasConsumers: Bool { state.with { !$0.consumers.isEmpty } }

  func send(_ element: Element) {
    state.with { state in
      if state.ended { return }
      if remembers { state.current = element }
      for consumer in state.consumers.values { consumer.yield(element) }
    }
  }

  /// Ends all sequences; a later one tells what was said last, and ends.
  func end() {
    let consumers = state.with { state in
      state.ended = true
      defer { state.consumers = [:] }
      return state.consumers
    }
    // Without the lock: this calls `forget`.
    for consumer in consumers.values { consumer.finish() }
  }

  /// Everything from now on.
  func sequence(
    keeping policy: AsyncStream<Element>.Continuation.BufferingPolicy = .unbounded
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
    // What is forgotten is dropped without the lock.
    _ = state.with { $0.consumers.removeValue(forKey: number) }
  }
}
