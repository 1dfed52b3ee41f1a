internal import TeatimeFFI

/// Which session to join, and how. App, name, ``options`` and the version of the models are the
/// session's identity: whoever differs in one of them is in another session.
public struct JoinOptions: Sendable {
  /// The models.
  public var app: App
  /// Where the reflector listens, such as `ws://127.0.0.1:9090` or `wss://example.org`.
  public var reflector: String
  /// Name of the room, 1 to 128 bytes of UTF-8.
  public var name: String
  /// With a password everything is encrypted end to end.
  public var password: String?
  /// The root model's options: what its `init` takes, as something that becomes JSON. Nothing stands
  /// for null.
  public var options: (any Encodable & Sendable)?
  /// Given to all models when this view joins and exits.
  public var viewData: (any Encodable & Sendable)?
  /// Ticks per second that the session's first client asks for, 1 to 60; 20 if not said.
  public var ticksPerSecond: Int?
  /// Certificates (PEM) that are trusted besides those that the platform trusts.
  public var trustedCertificates: String?
  /// Name and version of the program, for the reflector's log; at most 64 bytes.
  public var agent: String = "teatime-swift"
  /// The directory for a file of evidence if this client diverges. What is in it is plain, also if there
  /// is a password.
  public var evidenceDirectory: String?
  /// The directory for pieces of blobs that were fetched, so that they need not be fetched again: one of
  /// the app's caches, say. What is in it is encrypted if there is a password.
  public var blobCacheDirectory: String?
  /// How many bytes that may have; 256 MiB if not said. What was not used for longest goes first.
  public var blobCacheBytes: Int?

  /// The session of this name.
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

  /// The session that a link leads to. How an app writes its options into links is its own matter:
  /// it reads ``JoinLink/options`` and says here what its root model takes.
  ///
  /// - Throws: ``TeatimeError/Code/badLink`` if the link leads to another app.
  public init(
    app: App, link: JoinLink, options: (any Encodable & Sendable)? = nil
  ) throws(TeatimeError) {
    guard try link.app == app.id else {
      throw TeatimeError(.badLink, "the link leads to another app: \(link.app)")
    }
    self.init(
      app: app, reflector: link.reflector, name: link.name, password: link.password,
      options: options)
  }
}

extension JoinOptions {
  /// For the library.
  var ffi: TeatimeFFI.JoinOptions {
    get throws(TeatimeError) {
      let ticks = try ticksPerSecond.map { number throws(TeatimeError) in
        guard let ticks = UInt16(exactly: number) else {
          throw TeatimeError(.badTicks, "the ticks per second must be 1 to 60")
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
