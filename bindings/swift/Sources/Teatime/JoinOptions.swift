import Foundation
internal import TeatimeFFI

/// Which session to join, and how. App, name, ``options`` and the version of the models are the
/// session's identity: participants that differ in one of them are in different sessions.
public struct JoinOptions: Sendable {
  /// The models.
  public var app: App
  /// The reflector's address, such as `ws://127.0.0.1:9090` or `wss://example.org`.
  public var reflector: String
  /// Name of the room, 1 to 128 bytes of UTF-8.
  public var name: String
  /// The password. With one, everything is encrypted end to end.
  public var password: String?
  /// The root model's options: the argument of its `init`, as a value that becomes JSON. Nil becomes null.
  public var options: (any Encodable & Sendable)?
  /// Passed to all models when this view joins and exits.
  public var viewData: (any Encodable & Sendable)?
  /// Ticks per second that the session's first client asks for: 1 to 60, by default 20.
  public var ticksPerSecond: Int?
  /// Certificates (PEM) to trust in addition to the platform's.
  public var trustedCertificates: String?
  /// Name and version of the program, for the reflector's log; at most 64 bytes.
  public var agent: String = "teatime-swift"
  /// The directory for a file of evidence if this client diverges. The file is not encrypted, even with a
  /// password.
  public var evidenceDirectory: String?
  /// The directory for a cache of fetched pieces of blobs, such as one of the app's caches. With a password the
  /// pieces are encrypted.
  public var blobCacheDirectory: String?
  /// The size limit of the cache in bytes, by default 256 MiB. The least recently used pieces are removed first.
  public var blobCacheBytes: Int?

  /// Options to join the session with this name.
  public init(
    app: App, reflector: String, name: String, password: String? = nil,
    options: (any Encodable & Sendable)? = nil
  ) {
    self.app = app
    self.reflector = reflector
    self.name = name
    self.password = password
    self.options = options
  }

  /// Options to join the session that a link leads to, with the root model's options of the link. Other options
  /// override them, and lead to another session.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` if the link leads to another app, and
  ///   ``TeatimeError/Code/badOptions`` if the app cannot read the link's options.
  public init(
    app: App, link: JoinLink, options: (any Encodable & Sendable)? = nil
  ) throws(TeatimeError) {
    let linked = try call { try optionsOfLink(app: app.ffi, link: link.ffi) }
    self.init(
      app: app, reflector: link.reflector, name: link.name, password: link.password,
      options: options ?? JSON.Text(text: linked))
  }

  /// The root model's options as a type, for apps that change those of a link.
  ///
  /// - Throws: ``TeatimeError/Code/wrongType`` if they are of another type.
  public func options<Value: Decodable>(as type: Value.Type) throws(TeatimeError) -> Value {
    try JSON.decode(type, from: Data((try JSON.text(of: options) ?? "null").utf8))
  }

  /// The link by which others join the same session.
  ///
  /// - Throws: ``TeatimeError/Code/badAddress``, or why the options are not valid.
  public var link: JoinLink {
    get throws(TeatimeError) {
      let options = try ffi
      return JoinLink(try call { try linkOf(app: app.ffi, options: options) })
    }
  }
}

extension JoinOptions {
  /// For the library.
  var ffi: TeatimeFFI.JoinOptions {
    get throws(TeatimeError) {
      let ticks = try ticksPerSecond.map { number throws(TeatimeError) in
        guard let ticks = UInt16(exactly: number) else {
          throw TeatimeError(.badTicks, "\(number) ticks per second: expected 1 to 60")
        }
        return ticks
      }
      return TeatimeFFI.JoinOptions(
        reflector: reflector, name: name, password: password, options: try JSON.text(of: options),
        viewData: try JSON.text(of: viewData), ticksPerSecond: ticks,
        trustedCertificates: trustedCertificates, agent: agent, evidenceDir: evidenceDirectory,
        blobCacheDir: blobCacheDirectory, blobCacheBytes: blobCacheBytes.map(UInt64.init(clamping:)))
    }
  }
}
