import Dispatch
internal import TeatimeFFI

/// Holds the library's session until the session is over. Freeing waits for the connection to close, for up to
/// half a second on a dead line; so a queue of its own does that.
final class Native: Sendable {
  private struct State {
    var session: TeatimeFFI.Session?
    var isOver = false
  }

  /// One thread for all sessions of the process, because many may end at the same time.
  private static let closing = DispatchQueue(label: "teatime.closing", qos: .utility)

  private let state: Locked<State>
  private let freed = Broadcast<Never>()

  init(_ session: TeatimeFFI.Session) {
    state = Locked(State(session: session))
  }

  /// The library's session.
  ///
  /// - Throws: ``TeatimeError/Code/over`` when it is over.
  var session: TeatimeFFI.Session {
    get throws(TeatimeError) {
      let session = state.with { $0.isOver ? nil : $0.session }
      guard let session else { throw .over }
      return session
    }
  }

  /// Call this once, when the session is over.
  func free() {
    state.with { $0.isOver = true }
    Self.closing.async {
      // Dropped here, after the lock.
      _ = self.state.with { state in
        defer { state.session = nil }
        return state.session
      }
      self.freed.end()
    }
  }

  /// Waits until the session is freed.
  func waitUntilFreed() async {
    for await _ in freed.sequence(buffering: .bufferingNewest(1)) {}
  }
}
