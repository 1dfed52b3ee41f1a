internal import TeatimeFFI

extension Session {
  /// Shows something of this participant to the others: a cursor, a selection, that its user types. The newest counts, until
  /// this participant exits. No model sees it, nothing of it is stored, and it has no place in the order. May be called for
  /// every movement, and before the session is joined: some 30 a second are sent.
  ///
  /// - Throws: ``TeatimeError/Code/tooLarge`` if the value has more than 1 KiB, ``TeatimeError/Code/encoding``, and
  ///   ``TeatimeError/Code/over``. What was shown before is still shown then.
  public func setPresence(_ value: some Encodable) throws(TeatimeError) {
    let data = try JSON.encode(value)
    try call { try ffi.setPresence(data: data, format: .json) }
    // A step may be due before the timer, to send it.
    scheduler.wake()
  }

  /// Shows nothing of this participant any longer.
  ///
  /// - Throws: ``TeatimeError/Code/over``.
  public func clearPresence() throws(TeatimeError) {
    try call { try ffi.clearPresence() }
    scheduler.wake()
  }

  /// What the other participants show of themselves, now. What is not a `Value` is left out.
  ///
  /// - Throws: ``TeatimeError/Code/over``.
  public func presences<Value: Decodable>(
    of type: Value.Type = Value.self
  ) throws(TeatimeError) -> [ViewID: Value] {
    var shown: [ViewID: Value] = [:]
    for presence in try call({ try ffi.presences(format: .json) }) {
      guard let view = ViewID(presence.view) else { continue }
      shown[view] = try? JSON.decode(Value.self, from: presence.data)
    }
    return shown
  }

  /// What the other participants show of themselves: now, and after each change. A slow consumer gets the newest only. Ends
  /// with the session.
  public func presenceUpdates<Value: Decodable & Sendable>(
    of type: Value.Type = Value.self
  ) -> AsyncMapSequence<AsyncStream<Int>, [ViewID: Value]> {
    let changes = presenceChanges.sequence(buffering: .bufferingNewest(1))
    return changes.map { [weak self] _ in (try? self?.presences(of: Value.self)) ?? [:] }
  }
}
