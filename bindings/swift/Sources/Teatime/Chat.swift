internal import TeatimeFFI

/// What front ends of the chat need besides its session. The app is ``App/chat``.
public enum Chat {
  /// What all participants must agree on: the options of the root model.
  public struct Options: Sendable, Hashable, Codable {
    /// After so many seconds without a post the chat clears itself.
    public var inactivitySeconds: UInt32
    /// Whether a line tells who has entered or exited.
    public var announce: Bool

    /// Twenty minutes and no such lines, if nothing else is said.
    public init(inactivitySeconds: UInt32 = 20 * 60, announce: Bool = false) {
      self.inactivitySeconds = inactivitySeconds
      self.announce = announce
    }

    private enum CodingKeys: String, CodingKey {
      case inactivitySeconds = "inactivity_seconds"
      case announce
    }
  }

  /// A line of the history, as the query `history` answers them.
  public struct Line: Sendable, Hashable, Codable {
    /// Who wrote it; nobody if it comes from the chat itself.
    public let viewID: ViewID?
    /// The line as HTML, with everything that somebody typed escaped.
    public let html: String

    /// Nobody is written as null.
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

  /// The id of the app, as it stands in links.
  public static let appID = "teatime.chat"

  /// What is published as `input/newPost`.
  public struct Post: Sendable, Hashable, Codable {
    /// As it was typed.
    public var text: String

    /// A post.
    public init(text: String) {
      self.text = text
    }
  }

  /// The text of a line of the history: without its tags, with its escapes resolved.
  public static func plainText(ofHTML html: String) throws(TeatimeError) -> String {
    try call { try chatPlainText(html: html) }
  }
}
