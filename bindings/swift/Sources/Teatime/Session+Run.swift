internal import TeatimeFFI

extension Session {
  /// The state of the session, its subscriptions and its waiting callers.
  struct State {
    /// Whether the view is ready.
    var isReady = false
    /// Set when the session is over: the failure of all callers that wait.
    var ended: (any Error)?
    var subscriptions: [UInt64: Consumer] = [:]
    var waiters: [UInt64: Waiter] = [:]
    var nextWaiter: UInt64 = 0
  }

  /// The consumer of a subscription.
  struct Consumer {
    let continuation: AsyncStream<Event>.Continuation
    /// Whether the consumer gets the newest event only.
    let isLatest: Bool

    func take(_ event: Event) {
      if case .dropped = continuation.yield(event), !isLatest {
        // Too far behind. With a gap the app could not rely on later events.
        continuation.finish()
      }
    }
  }

  /// A caller that waits until the view is ready, or until a receipt is applied.
  struct Waiter {
    let receipt: Receipt?
    let continuation: AsyncThrowingStream<Never, any Error>.Continuation
  }

  /// The longest simulation of one step: calls that read the model wait for it.
  private static let budgetMicroseconds: UInt64 = 10_000
  /// Events of one pull. A call costs some µs, and all events of a pull are in memory.
  private static let batch: UInt32 = 256

  /// Steps once and delivers all events. The scheduler calls it.
  func run() {
    if state.with({ $0.ended != nil }) { return }
    do {
      try ffi.step(budgetUs: Self.budgetMicroseconds)
      try pull()
      try sendProgress()
      try resumeApplied()
      switch try ffi.nextDueUs() {
      case 0: scheduler.wake()
      case let due: scheduler.wake(inMicroseconds: due)
      }
    } catch {
      fail(error)
    }
  }

  private func pull() throws {
    while true {
      let events = try ffi.poll(format: .json, most: Self.batch)
      for event in events { try handle(event) }
      if events.count < Self.batch { return }
    }
  }

  private func handle(_ event: TeatimeFFI.Event) throws {
    switch event {
    case .published(let subscription, let scope, let event, let model, let payload):
      let consumer = state.with { $0.subscriptions[subscription] }
      let model = model.map(ModelID.init(rawValue:))
      consumer?.take(Event(scope: scope, event: event, model: model, payload: payload))
      return
    case .connection(let state, let status, let message):
      handle(
        Connection(
          .init(state), reason: status.map { TeatimeError(.init($0), message ?? "") }))
    case .viewReady:
      // The library's own event for this state follows.
      handle(Connection(.live))
      try onReady?(self)
      becomeReady()
    case .presencesChanged:
      presenceChanges.send((presenceChanges.current ?? 0) + 1)
      return
    case .viewLost:
      state.with { $0.isReady = false }
    case .synced, .state, .verdict, .fault, .held, .diverged, .persisted, .newerVersion,
      .notPersisted, .otherPassword, .unconfirmed, .disagreement, .alarm:
      break
    }
    if let notice = Notice(event) { noticed.send(notice) }
  }

  private func handle(_ connection: Connection) {
    if connection.state.isOver {
      end(connection, throwing: connection.reason ?? .over)
    } else if connection.reason != nil || connection != connections.current {
      connections.send(connection)
    }
  }

  private func becomeReady() {
    let ready = state.with { state in
      // The app may have left while it built the view.
      state.isReady = state.ended == nil
      let ready = state.waiters.filter { $0.value.receipt == nil }
      for number in ready.keys { state.waiters[number] = nil }
      return ready.values
    }
    // Without the lock: this calls `forget`.
    for waiter in ready { waiter.continuation.finish() }
  }

  private func sendProgress() throws {
    let progress = Double(try ffi.progress())
    if progress != progresses.current { progresses.send(progress) }
  }

  private func resumeApplied() throws {
    let waiting = state.with { $0.waiters }
    for (number, waiter) in waiting {
      if let receipt = waiter.receipt, try ffi.isApplied(receipt: receipt.number) {
        _ = state.with { $0.waiters.removeValue(forKey: number) }
        waiter.continuation.finish()
      }
    }
  }

  /// Ends the session after a bug of the library, or if the app failed to build the view.
  private func fail(_ error: any Error) {
    try? ffi.leave()
    end(Connection(.failed, reason: error as? TeatimeError ?? TeatimeError(error)), throwing: error)
  }

  /// Ends all sequences and waits, because the session is over. A second call does nothing.
  func end(_ connection: Connection, throwing error: any Error) {
    let last: State? = state.with { state in
      if state.ended != nil { return nil }
      defer {
        state = State()
        state.ended = error
      }
      return state
    }
    guard let last else { return }
    // Without the lock: these call `forget`.
    connections.send(connection)
    for consumer in last.subscriptions.values { consumer.continuation.finish() }
    for waiter in last.waiters.values { waiter.continuation.finish(throwing: error) }
    connections.end()
    progresses.end()
    noticed.end()
    presenceChanges.end()
    scheduler.wake(inMicroseconds: nil)
    native.free()
  }
}
