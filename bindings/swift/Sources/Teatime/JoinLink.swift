import Foundation
internal import TeatimeFFI

/// A join link, taken apart: whoever opens it joins the same session. The password stands in its
/// fragment, which is never sent to a server.
public struct JoinLink: Sendable, Hashable {
  /// Where the reflector listens, such as `ws://127.0.0.1:9090`.
  public var reflector: String
  /// Id of the app.
  public var app: String
  /// Name of the room.
  public var name: String
  /// Options of the app's model, as the app writes them into links.
  public var options: [String: String]
  /// The password, if the session has one.
  public var password: String?

  /// A link of its parts.
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

  /// Takes a link apart.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress``.
  public init(parsing text: String) throws(TeatimeError) {
    let link = try call { try parseLink(link: text) }
    self.init(
      reflector: link.reflector, app: link.app, name: link.name, options: link.options,
      password: link.password)
  }

  /// The link as text, such as `teatime://host:9090/app/room#password`. The same parts make the same
  /// text.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` or ``TeatimeError/Code/badAddress`` if that would be none.
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

/// A QR code as a square of modules.
public struct QRCode: Sendable, Hashable {
  /// Modules per side, without the quiet zone of four modules that must surround it.
  public let side: Int
  private let modules: Data

  /// The QR code of a text.
  ///
  /// - Throws: ``TeatimeError/Code/tooLong`` above 2,953 bytes.
  public init(_ text: String) throws(TeatimeError) {
    let code = try call { try qrCode(text: text) }
    side = Int(code.side)
    modules = code.modules
  }

  /// Whether the module is dark. All outside is light.
  public subscript(row row: Int, column column: Int) -> Bool {
    guard (0..<side).contains(row), (0..<side).contains(column) else { return false }
    return modules[modules.startIndex + row * side + column] == 1
  }
}
