import Teatime

/// A chat room: its reflector and its identity.
public struct Room: Sendable, Hashable {
  /// The reflector's address, such as `ws://127.0.0.1:9090`.
  public var reflector: String
  /// The name of the room.
  public var name: String
  /// The password. With one, everything is encrypted end to end.
  public var password: String?
  /// The chat clears itself after this many seconds without a post. Rooms with different values are different
  /// rooms.
  public var inactivitySeconds: UInt32
  /// Whether the chat adds a line when a participant enters or exits. Part of the room's identity, too.
  public var announces: Bool
  /// Certificates (PEM) to trust in addition to the platform's. Links do not contain them.
  public var trustedCertificates: String?
  /// The directory for a file of evidence if this client diverges. The file is not encrypted.
  public var evidenceDirectory: String?

  /// The default name of the room.
  public static let defaultName = "lobby"

  /// A room.
  public init(
    reflector: String, name: String = Room.defaultName, password: String? = nil,
    inactivitySeconds: UInt32 = Chat.Options().inactivitySeconds,
    announces: Bool = Chat.Options().announce
  ) {
    self.reflector = reflector
    self.name = name
    self.password = password
    self.inactivitySeconds = inactivitySeconds
    self.announces = announces
  }

  /// The room of a link.
  ///
  /// - Throws: ``TeatimeError/Code/badLink``, or ``TeatimeError/Code/badOptions``.
  public init(link text: String) throws(TeatimeError) {
    let link = try JoinLink(parsing: text)
    let chat = try JoinOptions(app: .chat, link: link).options(as: Chat.Options.self)
    self.init(
      reflector: link.reflector, name: link.name, password: link.password,
      inactivitySeconds: chat.inactivitySeconds, announces: chat.announce)
  }

  /// Parses a number of seconds.
  ///
  /// - Throws: ``TeatimeError/Code/badLink``.
  public static func seconds(_ text: String) throws(TeatimeError) -> UInt32 {
    guard let seconds = UInt32(text), text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else {
      throw TeatimeError(.badLink, "invalid number of seconds: \(text)")
    }
    return seconds
  }

  /// The link by which others join.
  public var link: String {
    get throws(TeatimeError) { try joinOptions.link.text }
  }

  /// The options to join the room.
  var joinOptions: JoinOptions {
    get throws(TeatimeError) {
      var options = JoinOptions(
        app: try .chat, reflector: reflector, name: name, password: password,
        options: Chat.Options(inactivitySeconds: inactivitySeconds, announce: announces))
      options.trustedCertificates = trustedCertificates
      options.evidenceDirectory = evidenceDirectory
      options.agent = "teatime-chat-swift"
      return options
    }
  }
}
