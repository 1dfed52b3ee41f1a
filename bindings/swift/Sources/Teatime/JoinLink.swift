internal import TeatimeFFI

/// The parts of a join link, which leads to a session. The password is in the link's fragment, which programs
/// never send to a server. ``JoinOptions/link`` makes one, and
/// ``JoinOptions/init(app:link:options:)`` joins as it says.
public struct JoinLink: Sendable, Hashable {
  /// The reflector's address, such as `ws://127.0.0.1:9090`.
  public var reflector: String
  /// Id of the app.
  public var app: String
  /// Name of the room.
  public var name: String
  /// Options of the root model as JSON, with the names of fields. Nil if all have their default.
  public var options: String?
  /// The password, if the session has one.
  public var password: String?

  /// A link with these parts.
  public init(
    reflector: String, app: String, name: String, options: String? = nil,
    password: String? = nil
  ) {
    self.reflector = reflector
    self.app = app
    self.name = name
    self.options = options
    self.password = password
  }

  /// Parses a link, also one that a messenger has changed. A link that has lost characters is refused.
  ///
  /// - Throws: ``TeatimeError/Code/badLink``.
  public init(parsing text: String) throws(TeatimeError) {
    self.init(try call { try parseLink(link: text) })
  }

  init(_ link: Link) {
    self.init(
      reflector: link.reflector, app: link.app, name: link.name, options: link.options,
      password: link.password)
  }

  /// For the library.
  var ffi: Link {
    Link(reflector: reflector, app: app, name: name, options: options, password: password)
  }

  /// The link as text, such as `teatime://host:9090/-rb2kq3gp/app/room`. Equal parts make equal texts.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress`` if the parts do not make a valid
  ///   link.
  public var text: String {
    get throws(TeatimeError) {
      try call { try makeLink(link: ffi) }
    }
  }
}
