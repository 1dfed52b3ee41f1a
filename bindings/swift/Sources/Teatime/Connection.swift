internal import TeatimeFFI

/// How a session stands with its reflector.
public struct Connection: Sendable, Hashable {
  /// The states.
  public enum State: String, Sendable, CaseIterable {
    /// It tries to reach the reflector for the first time.
    case connecting
    /// It has been let in and loads the session.
    case catchingUp = "catching_up"
    /// The model runs, and a view can be built from it.
    case live
    /// The connection broke; the model stands still until it is back.
    case reconnecting
    /// It has left.
    case left
    /// It has given up: trying again would end the same way.
    case failed
  }

  /// The state.
  public let state: State
  /// Why it has become worse, if it has.
  public let reason: TeatimeError?

  init(_ state: State, reason: TeatimeError? = nil) {
    self.state = state
    self.reason = reason
  }
}

extension Connection.State {
  /// Whether nothing will happen any more.
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
