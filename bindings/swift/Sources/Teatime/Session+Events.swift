internal import TeatimeFFI

extension Session {
  /// The events that models, or calls of ``publishToViews(_:_:_:)``, publish on a topic from now on. `*` matches
  /// every scope or event.
  ///
  /// The subscription begins with this call, so that the loop misses no event. It ends with the session, when the
  /// iterating task is cancelled, or when the sequence and its iterator are dropped. A sequence has one consumer;
  /// subscribe again for another. Between two views no events come.
  ///
  /// At most 65,536 events wait. If the consumer falls further behind, the sequence ends behind those that wait.
  /// The session goes on: ``connection`` is not over then.
  public func events(
    _ scope: String, _ event: String, handling: Handling = .queued
  ) -> AsyncStream<Event> {
    let isLatest = handling == .latest
    let (stream, continuation) = AsyncStream.makeStream(
      of: Event.self,
      bufferingPolicy: isLatest ? .bufferingNewest(1) : .bufferingOldest(Self.mostWaiting))
    let subscription: UInt64? = state.with { state in
      // Subscribing fails only by a bug of the library, which ends the session anyway.
      guard state.ended == nil,
        let number = try? ffi.subscribe(scope: scope, event: event, newestOnly: isLatest)
      else { return nil }
      // Still locked, because the first event may arrive immediately.
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

  /// The same number that may wait in the library.
  private static let mostWaiting = 65_536

  private func unsubscribe(_ subscription: UInt64) {
    let consumer = state.with { $0.subscriptions.removeValue(forKey: subscription) }
    guard consumer != nil else { return }
    // On the queue, so that the caller does not wait for a step.
    scheduler.queue.async { [weak self] in try? self?.ffi.unsubscribe(subscription: subscription) }
  }

  /// Sends an event to the models of all participants, including this one. Models change only when the event
  /// comes back with its place in the order. During an outage the event waits, and is sent later.
  ///
  /// - Throws: After ``TeatimeError/Code/tooFast`` and ``TeatimeError/Code/notJoined`` try again later; after
  ///   ``TeatimeError/Code/tooLarge``, ``TeatimeError/Code/over`` and ``TeatimeError/Code/encoding`` do not.
  @discardableResult
  public func publish(
    _ scope: String, _ event: String, _ payload: some Encodable
  ) throws(TeatimeError) -> Receipt {
    let payload = try JSON.encode(payload)
    let number = try call {
      try ffi.publish(scope: scope, event: event, payload: payload, format: .json)
    }
    // A step may be due before the timer, to send the event.
    scheduler.wake()
    return Receipt(number: number)
  }

  /// The same without a payload.
  @discardableResult
  public func publish(_ scope: String, _ event: String) throws(TeatimeError) -> Receipt {
    try publish(scope, event, String?.none)
  }

  /// Sends an event to the subscriptions of this session object only.
  public func publishToViews(
    _ scope: String, _ event: String, _ payload: some Encodable
  ) throws(TeatimeError) {
    let payload = try JSON.encode(payload)
    try call {
      try ffi.publishToViews(scope: scope, event: event, payload: payload, format: .json)
    }
    scheduler.wake()
  }

  /// Asks for a vote of all participants on their state hash. ``Notice/state(seq:time:hash:)`` and
  /// ``Notice/verdict(seq:hash:agreed:of:)`` among the ``notices`` have the results.
  ///
  /// - Throws: ``TeatimeError/Code/notJoined`` without a connection,
  ///   ``TeatimeError/Code/over``.
  public func requestVote() throws(TeatimeError) {
    try call { try ffi.requestVote() }
  }
}
