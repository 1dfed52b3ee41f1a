internal import TeatimeFFI

/// What a session tells besides what was published and how its connection stands.
public enum Notice: Sendable, Hashable {
  /// A view can be built from the model.
  case viewReady
  /// The model is gone: what is known of it is stale until the next ``viewReady``.
  case viewLost
  /// The model caught up with the reflector, or fell behind.
  case synced(Bool)
  /// The hash of this client's state at the point of a vote: sequence number and session time of the
  /// vote, and the hash as 64 hexadecimal digits.
  case state(seq: UInt64, time: Duration, hash: String)
  /// How a vote ended: the majority's hash, if it is known, and how many agreed of those who were
  /// asked.
  case verdict(seq: UInt64, hash: String?, agreed: Int, of: Int)
  /// A handler of a model failed, on every participant alike: who sent the event that led to it, and
  /// what happened, for people.
  case fault(seq: UInt64, time: Duration, sender: ViewID?, message: String)
  /// The reflector asks senders to pause, or lets them go on.
  case held(Bool)
  /// This client's state was not the right one, and has been replaced: sequence number and session time
  /// of the vote that found it, the wrong state's hash as 64 hexadecimal digits, the file of evidence if
  /// ``JoinOptions/evidenceDirectory`` asked for one, or why it could not be written, for people.
  case diverged(seq: UInt64, time: Duration, hash: String, evidence: String?, message: String?)
  /// What the root model has persisted is stored, as of the vote with this sequence number: a later
  /// version of the app begins with it.
  case persisted(seq: UInt64)
  /// A newer version of the app is used in this room, or has been. It has a session of its own, which
  /// began with what was persisted by then; what is done here does not get there. The message tells
  /// people to update.
  case newerVersion(Int, message: String)
  /// What the root model has persisted is not stored: a later version of the app would begin with what
  /// was stored before. If the reflector cannot store it there is a reason, and it tries again; otherwise
  /// newer versions have persisted. The message says so to people. It comes once, and again after
  /// something else was stored.
  case notPersisted(TeatimeError.Code?, message: String)
}

extension Notice {
  /// Nothing for what is told in another way.
  init?(_ event: TeatimeFFI.Event) {
    switch event {
    case .viewReady: self = .viewReady
    case .viewLost: self = .viewLost
    case .synced(let synced): self = .synced(synced)
    case .state(let seq, let time, let hash):
      self = .state(seq: seq, time: .microseconds(time), hash: hash)
    case .verdict(let seq, let hash, let agreed, let of):
      self = .verdict(seq: seq, hash: hash, agreed: Int(agreed), of: Int(of))
    case .fault(let seq, let time, let sender, let why):
      self = .fault(
        seq: seq, time: .microseconds(time), sender: sender.flatMap(ViewID.init), message: why)
    case .held(let held): self = .held(held)
    case .diverged(let seq, let time, let hash, let evidence, let why):
      self = .diverged(
        seq: seq, time: .microseconds(time), hash: hash, evidence: evidence, message: why)
    case .persisted(let seq): self = .persisted(seq: seq)
    case .newerVersion(let version, let why):
      self = .newerVersion(Int(version), message: why)
    case .notPersisted(let status, let why):
      self = .notPersisted(status.map(TeatimeError.Code.init), message: why)
    case .published, .connection: return nil
    }
  }
}
