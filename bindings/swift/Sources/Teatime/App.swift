internal import TeatimeFFI

/// An app: the models that its sessions are made of. Usable from any thread.
public struct App: Sendable {
  let ffi: TeatimeFFI.App

  /// The chat that comes with the library. Its id is `teatime.chat`.
  public static var chat: App {
    get throws(TeatimeError) { App(ffi: try call { try TeatimeFFI.App.chat() }) }
  }

  private init(ffi: TeatimeFFI.App) {
    self.ffi = ffi
  }

  /// The app that an exported function has returned: one whose models are in Rust has a function in C
  /// that returns `teatime_ffi::export_app(…)`. The pointer is used up, also if this fails.
  ///
  /// - Throws: ``TeatimeError/Code/wrongHandle`` if it is no app, or was used before.
  public init(exportedBy pointer: UnsafeMutableRawPointer) throws(TeatimeError) {
    ffi = try call { try TeatimeFFI.App.adopt(address: UInt64(UInt(bitPattern: pointer))) }
  }

  /// Its id, such as `org.example.race`.
  public var id: String {
    get throws(TeatimeError) { try call { try ffi.id() } }
  }
}

/// The library itself.
public enum Library {
  /// Its version, such as 0.1.0.
  public static var version: String {
    get throws(TeatimeError) { try call { try libraryVersion() } }
  }
}
