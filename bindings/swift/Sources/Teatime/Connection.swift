internal import TeatimeFFI

/// The connection of a session to its reflector.
public struct Connection: Sendable, Hashable {
  /// The states of a connection.
  public enum State: String, Sendable, CaseIterable {
    /// The session tries to reach the reflector for the first time.
    case connecting
    /// The reflector has let the client in, and the client loads the session.
    case catchingUp = "catching_up"
    /// The model runs, and the app can build a view from it.
    case live
    /// The connection broke. The model stands still until the connection is back.
    case reconnecting
    /// The app left the session.
    case left
    /// The session has given up, because another attempt would fail in the same way.
    case failed
  }

  /// The state.
  public let state: State
  /// Why the connection broke or an attempt failed, if one did.
  public let reason: TeatimeError?

  init(_ state: State, reason: TeatimeError? = nil) {
    self.state = state
    self.reason = reason
  }
}

extension Connection.State {
  /// Whether this is a final state.
  public var isOver: Bool { self == .left || self == .failed }

  init(_ state: TeaConnection) {
    switch state {
    case .connecting: self = .connecting
    case .catchingUp: self = .catchingUp
    case .live: self = .live
    case .reconnecting: self = .reconnecting
    case .left: self = .left
    case .failed: self = .failed
    }
  }
}
