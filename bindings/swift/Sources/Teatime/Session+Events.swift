internal import TeatimeFFI

extension Session {
  /// What is published on a topic from now on, by models and by ``publishToViews(_:_:_:)``. `*` matches
  /// every scope or event.
  ///
  /// The subscription is made by this call, so that nothing is missed between it and the first turn
  /// of the loop. It ends with the session, when the task that iterates is cancelled, and when the
  /// sequence and its iterator are dropped. It has one consumer; who wants more subscribes more often.
  /// While there is no view nothing comes; it goes on with the next one.
  ///
  /// At most 65,536 events wait to be taken. Who lets more gather is told by the end of the sequence, behind those
  /// that wait, while the session goes on: ``connection`` is not over then.
  public func events(
    _ scope: String, _ event: String, handling: Handling = .queued
  ) -> AsyncStream<Event> {
    let isLatest = handling == .latest
    let (stream, continuation) = AsyncStream.makeStream(
      of: Event.self,
      bufferingPolicy: isLatest ? .bufferingNewest(1) : .bufferingOldest(Self.mostWaiting))
    let subscription: UInt64? = state.with { state in
      // It only fails if the library has a bug; the session notices.
      guard state.ended == nil,
        let number = try? ffi.subscribe(scope: scope, event: event, newestOnly: isLatest)
      else { return nil }
      // Still locked: the first event may arrive at once.
      state.subscriptions[number] = Consumer(continuation: continuation, isLatest: isLatest)
      return number
    }
    guard let subscription else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in self?.unsubscribe(subscription) }
    return stream
  }

  /// As many as the library lets wait to be pulled.
  private static let mostWaiting = 65_536

  private func unsubscribe(_ subscription: UInt64) {
    let consumer = state.with { $0.subscriptions.removeValue(forKey: subscription) }
    guard consumer != nil else { return }
    // Not here: whoever ends a sequence does not wait for a step.
    scheduler.queue.async { [weak self] in try? self?.ffi.unsubscribe(subscription: subscription) }
  }

  /// Sends an event to the models of all participants, this one's included: it comes back with its
  /// place in the order, and no model changes before. While the connection is broken it is kept and
  /// sent later.
  ///
  /// - Throws: ``TeatimeError/Code/tooFast`` and ``TeatimeError/Code/notJoined``: try again later.
  ///   ``TeatimeError/Code/tooLarge``, ``TeatimeError/Code/over``,
  ///   ``TeatimeError/Code/encoding``: it will never be sent.
  @discardableResult
  public func publish(
    _ scope: String, _ event: String, _ data: some Encodable
  ) throws(TeatimeError) -> Receipt {
    let data = try JSON.encode(data)
    let number = try call {
      try ffi.publish(scope: scope, event: event, data: data, format: .json)
    }
    // It may wait for its turn to be sent, and the alarm was set before.
    scheduler.wake()
    return Receipt(number: number)
  }

  /// The same without data.
  @discardableResult
  public func publish(_ scope: String, _ event: String) throws(TeatimeError) -> Receipt {
    try publish(scope, event, String?.none)
  }

  /// Sends an event to the subscriptions of this session object only.
  public func publishToViews(
    _ scope: String, _ event: String, _ data: some Encodable
  ) throws(TeatimeError) {
    let data = try JSON.encode(data)
    try call {
      try ffi.publishToViews(scope: scope, event: event, data: data, format: .json)
    }
    scheduler.wake()
  }

  /// Asks for a vote of all participants on their state hash. The answers are
  /// ``Notice/state(seq:time:hash:)`` and ``Notice/verdict(seq:hash:agreed:of:)`` among the
  /// ``notices``.
  ///
  /// - Throws: ``TeatimeError/Code/notJoined`` while there is no connection,
  ///   ``TeatimeError/Code/over``.
  public func requestVote() throws(TeatimeError) {
    try call { try ffi.requestVote() }
  }
}
