internal import TeatimeFFI

extension Session {
  /// What is known of the session, and who waits for what.
  struct State {
    /// A view can be read.
    var isReady = false
    /// Set once it is over: what whoever waits is told.
    var ended: (any Error)?
    var subscriptions: [UInt64: Consumer] = [:]
    var waiters: [UInt64: Waiter] = [:]
    var nextWaiter: UInt64 = 0
  }

  /// Who has subscribed.
  struct Consumer {
    let continuation: AsyncStream<Event>.Continuation
    /// Wants the newest event only.
    let isLatest: Bool

    func take(_ event: Event) {
      if case .dropped = continuation.yield(event), !isLatest {
        // With a gap nobody could rely on what follows.
        continuation.finish()
      }
    }
  }

  /// Waits until a view is ready, or until a receipt is applied.
  struct Waiter {
    let receipt: Receipt?
    let continuation: AsyncThrowingStream<Never, any Error>.Continuation
  }

  /// How long a step may simulate: whoever reads the model meanwhile waits.
  private static let budgetMicroseconds: UInt64 = 10_000
  /// How many events are pulled at once. A call costs some µs, and all of them are in memory.
  private static let batch: UInt32 = 256

  /// One step, and everything that it brings. The scheduler calls it.
  func run() {
    if state.with({ $0.ended != nil }) { return }
    do {
      try ffi.step(budgetUs: Self.budgetMicroseconds)
      try pull()
      try tellProgress()
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
    case .published(let subscription, let scope, let event, let data):
      let consumer = state.with { $0.subscriptions[subscription] }
      consumer?.take(Event(scope: scope, event: event, data: data))
      return
    case .connection(let state, let status, let why):
      handle(
        Connection(
          .init(state), reason: status.map { TeatimeError(.init($0), why ?? "") }))
    case .viewReady:
      // The event that says so follows.
      handle(Connection(.live))
      try onReady?(self)
      becomeReady()
    case .viewLost:
      state.with { $0.isReady = false }
    case .synced, .state, .verdict, .fault, .held, .diverged, .persisted, .newerVersion,
      .notPersisted:
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
      // Whoever built the view may have left.
      state.isReady = state.ended == nil
      let ready = state.waiters.filter { $0.value.receipt == nil }
      for number in ready.keys { state.waiters[number] = nil }
      return ready.values
    }
    // Without the lock: this calls `forget`.
    for waiter in ready { waiter.continuation.finish() }
  }

  private func tellProgress() throws {
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

  /// The library has a bug, or the view could not be built.
  private func fail(_ error: any Error) {
    try? ffi.leave()
    end(Connection(.failed, reason: error as? TeatimeError ?? TeatimeError(error)), throwing: error)
  }

  /// Tells everybody that it is over. Does nothing the second time.
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
    scheduler.wake(inMicroseconds: nil)
    native.free()
  }
}
