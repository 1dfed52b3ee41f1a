internal import TeatimeFFI

/// An event of a session about the session itself, other than changes of its ``Connection``.
public enum Notice: Sendable, Hashable {
  /// The app can build a view from the model.
  case viewReady
  /// The model is gone. What the view shows is stale until the next ``viewReady``.
  case viewLost
  /// The model caught up with the reflector, or fell behind.
  case synced(Bool)
  /// The hash of this client's state at the point of a vote: sequence number and session time of the
  /// vote, and the hash as 64 hexadecimal digits.
  case state(seq: UInt64, time: Duration, hash: String)
  /// How a vote ended: the majority's hash, if it is known, and the numbers of participants that agreed and that
  /// were asked.
  case verdict(seq: UInt64, hash: String?, agreed: Int, of: Int)
  /// A handler failed on every participant: the view that sent the event that led to the failure, if a view did,
  /// and what happened, for people.
  case fault(seq: UInt64, time: Duration, sender: ViewID?, message: String)
  /// The reflector asks senders to pause, or to go on.
  case held(Bool)
  /// This client's state was wrong, and has been replaced: sequence number and session time
  /// of the vote that found it, and the wrong state's hash as 64 hexadecimal digits. `evidence` is the file of
  /// evidence, if ``JoinOptions/evidenceDirectory`` asked for one; `message` is why it could not be written.
  case diverged(seq: UInt64, time: Duration, hash: String, evidence: String?, message: String?)
  /// The persisted data of the root model is stored, as of the vote with this sequence number. A later version of
  /// the app begins with it.
  case persisted(seq: UInt64)
  /// A newer version of the app is or was in use in this room. It has a session of its own, which began with the
  /// persisted data of that time. Changes in this session do not reach it. The message asks the user to update.
  case newerVersion(Int, message: String)
  /// The persisted data of the root model is not stored: a later version of the app would begin with older data.
  /// With a code, the reflector cannot store it, and tries again. Without one, the room is full
  /// of what other versions have persisted. The message is the reason for the user. Comes once, and again after data was stored.
  case notPersisted(TeatimeError.Code?, message: String)
  /// Nothing has happened in this room before, and its name is also used with another password, or without one. The
  /// message asks the user to check the password. Comes once.
  case otherPassword(message: String)
  /// The fate of some published events is unknown, and they are not sent again: the reflector has forgotten this
  /// participant. Their number, and the explanation for the user.
  case unconfirmed(count: Int, message: String)
  /// Two programs compute different things from the same events, so participants see different things. The session goes
  /// on. The vote that found it, and the explanation for the user, with both builds and the file of evidence. Comes once,
  /// and again after all have agreed.
  case disagreement(seq: UInt64, message: String)
  /// The order of events is not what participants have seen or sealed: the reflector, or a participant, does not say the
  /// truth. The session goes on. What is wrong (`REPEATED`, `DROPPED`, `REORDERED`, `FORKED`, `INVENTED`,
  /// `EXPELLED` if this client is said to have left, `REWOUND` if events are gone that this client has seen, because the
  /// reflector crashed or its operator went back, or `CLOCK` if the session's time jumped ahead between two connections),
  /// the message that shows it, the participant that it is about, and the explanation for the user. Comes once for each kind and participant.
  case alarm(kind: String, seq: UInt64, participant: ViewID?, message: String)
}

extension Notice {
  /// Nil for published events, changes of the connection, and what participants show of themselves.
  init?(_ event: TeatimeFFI.Event) {
    switch event {
    case .viewReady: self = .viewReady
    case .viewLost: self = .viewLost
    case .synced(let synced): self = .synced(synced)
    case .state(let seq, let time, let hash):
      self = .state(seq: seq, time: .microseconds(time), hash: hash)
    case .verdict(let seq, let hash, let agreed, let of):
      self = .verdict(seq: seq, hash: hash, agreed: Int(agreed), of: Int(of))
    case .fault(let seq, let time, let sender, let message):
      self = .fault(
        seq: seq, time: .microseconds(time), sender: sender.flatMap(ViewID.init), message: message)
    case .held(let held): self = .held(held)
    case .diverged(let seq, let time, let hash, let evidence, let message):
      self = .diverged(
        seq: seq, time: .microseconds(time), hash: hash, evidence: evidence, message: message)
    case .persisted(let seq): self = .persisted(seq: seq)
    case .newerVersion(let version, let message):
      self = .newerVersion(Int(version), message: message)
    case .notPersisted(let status, let message):
      self = .notPersisted(status.map(TeatimeError.Code.init), message: message)
    case .otherPassword(let message): self = .otherPassword(message: message)
    case .unconfirmed(let count, let message):
      self = .unconfirmed(count: Int(count), message: message)
    case .disagreement(let seq, let message):
      self = .disagreement(seq: seq, message: message)
    case .alarm(let kind, let seq, let participant, let message):
      self = .alarm(
        kind: kind, seq: seq, participant: participant.flatMap(ViewID.init), message: message)
    case .published, .connection, .presencesChanged: return nil
    }
  }
}
