import Dispatch
internal import TeatimeFFI

/// Holds the library's session until it is over. Freeing it waits for the connection to close, half a
/// second at most on a dead line; so that happens elsewhere.
final class Native: Sendable {
  private struct State {
    var session: TeatimeFFI.Session?
    var isOver = false
  }

  /// One thread for all sessions of the process: many may end at once.
  private static let closing = DispatchQueue(label: "teatime.closing", qos: .utility)

  private let state: Locked<State>
  private let freed = Broadcast<Never>()

  init(_ session: TeatimeFFI.Session) {
    state = Locked(State(session: session))
  }

  /// There until it is over.
  var session: TeatimeFFI.Session {
    get throws(TeatimeError) {
      let session = state.with { $0.isOver ? nil : $0.session }
      guard let session else { throw .over }
      return session
    }
  }

  /// To be called once, when it is over.
  func free() {
    state.with { $0.isOver = true }
    Self.closing.async {
      // Dropped here, without the lock.
      _ = self.state.with { state in
        defer { state.session = nil }
        return state.session
      }
      self.freed.end()
    }
  }

  /// Waits until it is freed.
  func wasFreed() async {
    for await _ in freed.sequence() {}
  }
}
