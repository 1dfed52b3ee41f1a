import Teatime

/// A chat room: where it is, and what makes it the room that it is.
public struct Room: Sendable, Hashable {
  /// Where the reflector listens, such as `ws://127.0.0.1:9090`.
  public var reflector: String
  /// Its name.
  public var name: String
  /// With a password everything is encrypted end to end.
  public var password: String?
  /// After so many seconds without a post the chat clears itself. Rooms that differ in this are
  /// different rooms.
  public var inactivitySeconds: UInt32
  /// Certificates (PEM) that are trusted besides those that the platform trusts. Not in links.
  public var trustedCertificates: String?
  /// Where a file of evidence goes if this client diverges; what is in it is plain.
  public var evidenceDirectory: String?

  /// The name of the room if nothing is said.
  public static let defaultName = "lobby"

  /// The option's name in links; it is left out while it is the usual one.
  private static let inactivity = "inactivity"

  /// A room.
  public init(
    reflector: String, name: String = Room.defaultName, password: String? = nil,
    inactivitySeconds: UInt32 = Chat.Options().inactivitySeconds
  ) {
    self.reflector = reflector
    self.name = name
    self.password = password
    self.inactivitySeconds = inactivitySeconds
  }

  /// The room that a link leads to.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress``.
  public init(link text: String) throws(TeatimeError) {
    let link = try JoinLink(parsing: text)
    guard link.app == Chat.appID else {
      throw TeatimeError(.badLink, "the link leads to \(link.app), which is no chat")
    }
    self.init(reflector: link.reflector, name: link.name, password: link.password)
    if let seconds = link.options[Self.inactivity] {
      inactivitySeconds = try Self.seconds(seconds)
    }
  }

  /// A number of seconds as it is typed.
  ///
  /// - Throws: ``TeatimeError/Code/badLink``.
  public static func seconds(_ text: String) throws(TeatimeError) -> UInt32 {
    guard let seconds = UInt32(text), text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else {
      throw TeatimeError(.badLink, "\(text) is no number of seconds")
    }
    return seconds
  }

  /// The link by which others join.
  public var link: String {
    get throws(TeatimeError) {
      let isUsual = inactivitySeconds == Chat.Options().inactivitySeconds
      return try JoinLink(
        reflector: reflector, app: Chat.appID, name: name,
        options: isUsual ? [:] : [Self.inactivity: "\(inactivitySeconds)"], password: password
      ).text
    }
  }

  /// How it is joined.
  var joinOptions: JoinOptions {
    get throws(TeatimeError) {
      var options = JoinOptions(
        app: try .chat, reflector: reflector, name: name, password: password,
        options: Chat.Options(inactivitySeconds: inactivitySeconds))
      options.trustedCertificates = trustedCertificates
      options.evidenceDirectory = evidenceDirectory
      options.agent = "teatime-chat-swift"
      return options
    }
  }
}
