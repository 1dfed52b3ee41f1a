import Teatime

/// The first content of a view, read while the model stands still.
public struct ChatView: Sendable, Hashable, Codable {
  /// The lines, oldest first.
  public let history: [Chat.Line]
  /// The number of the last line, counted from the first line of the session.
  public let lastLine: UInt64
  /// The nickname of this user.
  public let nickname: String
  /// The number of participants.
  public let participants: Int

  /// Reads the content from the model.
  init(_ session: Session) throws(TeatimeError) {
    history = try session.read("history")
    lastLine = try session.read("lines")
    nickname = try session.chatNickname
    participants = try session.read("participants")
  }

  /// Builds the view, and publishes it in order with all other events.
  static func build(_ session: Session) throws(TeatimeError) {
    let view = try ChatView(session)
    let mine = view.history.contains { $0.viewID == session.viewID }
    if view.participants == 1 && !mine {
      // Posts of participants who have left are not for a user who comes alone. If sending fails, no
      // other participant is there for whom the reset matters.
      _ = try? session.publish("input", "reset", "for new participants")
    }
    try session.publishToViews(Own.scope, Own.built, view)
  }

  /// Topics of the view's own events.
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
