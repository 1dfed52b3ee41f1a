import Teatime

/// What the view is built from, read while the model stands still.
public struct ChatView: Sendable, Hashable, Codable {
  /// The lines, oldest first.
  public let history: [Chat.Line]
  /// The nickname of this user.
  public let nickname: String
  /// How many are here.
  public let participants: Int

  /// Reads it from the model.
  init(_ session: Session) throws(TeatimeError) {
    history = try session.read("history")
    nickname = try session.chatNickname
    participants = try session.read("participants")
  }

  /// Builds the view, and has the session tell it in the order of all other events.
  static func build(_ session: Session) throws(TeatimeError) {
    let view = try ChatView(session)
    let mine = view.history.contains { $0.viewID == session.viewID }
    if view.participants == 1 && !mine {
      // What others said who are gone is not for me. If it cannot be sent now there is nobody to whom
      // it could make a difference.
      _ = try? session.publish("input", "reset", "for new participants")
    }
    try session.publishToViews(Own.scope, Own.built, view)
  }

  /// What the view tells itself.
  enum Own {
    static let scope = "teatime-chat"
    static let built = "built"
    static let settled = "settled"
  }
}

extension Session {
  /// The nickname of this view.
  var chatNickname: String {
    get throws(TeatimeError) { try read("nickname", viewID, as: String?.self) ?? "" }
  }
}
