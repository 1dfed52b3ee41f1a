internal import TeatimeFFI

/// The parts of a join link, which leads to a session. The password is in the link's fragment, which programs
/// never send to a server.
public struct JoinLink: Sendable, Hashable {
  /// The reflector's address, such as `ws://127.0.0.1:9090`.
  public var reflector: String
  /// Id of the app.
  public var app: String
  /// Name of the room.
  public var name: String
  /// Options of the app's model, as the app writes them into links.
  public var options: [String: String]
  /// The password, if the session has one.
  public var password: String?

  /// A link with these parts.
  public init(
    reflector: String, app: String, name: String, options: [String: String] = [:],
    password: String? = nil
  ) {
    self.reflector = reflector
    self.app = app
    self.name = name
    self.options = options
    self.password = password
  }

  /// Parses a link.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress``.
  public init(parsing text: String) throws(TeatimeError) {
    let link = try call { try parseLink(link: text) }
    self.init(
      reflector: link.reflector, app: link.app, name: link.name, options: link.options,
      password: link.password)
  }

  /// The link as text, such as `teatime://host:9090/app/room#password`. Equal parts make equal texts.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress`` if the parts do not make a valid
  ///   link.
  public var text: String {
    get throws(TeatimeError) {
      try call {
        try makeLink(
          link: Link(
            reflector: reflector, app: app, name: name, options: options, password: password))
      }
    }
  }
}
