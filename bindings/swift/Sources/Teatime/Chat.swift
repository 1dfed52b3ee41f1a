internal import TeatimeFFI

/// Types and helpers for front ends of the chat. The app is ``App/chat``.
public enum Chat {
  /// The options of the root model. They are part of the session's identity.
  public struct Options: Sendable, Hashable, Codable {
    /// The chat clears itself after this many seconds without a post.
    public var inactivitySeconds: UInt32
    /// Whether the chat adds a line when a participant enters or exits.
    public var announce: Bool

    /// The default is twenty minutes, without such lines.
    public init(inactivitySeconds: UInt32 = 20 * 60, announce: Bool = false) {
      self.inactivitySeconds = inactivitySeconds
      self.announce = announce
    }

    private enum CodingKeys: String, CodingKey {
      case inactivitySeconds = "inactivity_seconds"
      case announce
    }
  }

  /// A line of the history, as in the answer of the query `history`.
  public struct Line: Sendable, Hashable, Codable {
    /// The view that wrote the line; nil if the chat itself wrote it.
    public let viewID: ViewID?
    /// The line as HTML, with all typed text escaped.
    public let html: String

    /// Writes an absent view as null.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(viewID, forKey: .viewID)
      try container.encode(html, forKey: .html)
    }

    private enum CodingKeys: String, CodingKey {
      case viewID = "view_id"
      case html
    }
  }

  /// A change of the history: the payload of `history/refresh`.
  public struct Change: Sendable, Hashable, Codable {
    /// How many lines have gone from the front of the history.
    public let dropped: Int
    /// The line that was added at the end.
    public let line: Line
  }

  /// The id of the app, as links have it.
  public static let appID = "teatime.chat"

  /// The payload of `input/newPost`.
  public struct Post: Sendable, Hashable, Codable {
    /// The text as the user typed it.
    public var text: String

    /// A post.
    public init(text: String) {
      self.text = text
    }
  }

  /// The text of a line of the history, without tags and with resolved escapes.
  public static func plainText(ofHTML html: String) throws(TeatimeError) -> String {
    try call { try chatPlainText(html: html) }
  }

  /// A text of other users as one line for a terminal: a line break becomes ` ⏎ `. Control characters, characters
  /// that change the direction of text, and invisible ones become U+FFFD.
  public static func printable(_ text: String) throws(TeatimeError) -> String {
    try call { try TeatimeFFI.printable(text: text) }
  }
}
