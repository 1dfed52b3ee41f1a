internal import TeatimeFFI

/// An app: the models of its sessions. Any thread may use it.
public struct App: Sendable {
  let ffi: TeatimeFFI.App

  /// The chat that is built into the library. Its id is `teatime.chat`.
  public static var chat: App {
    get throws(TeatimeError) { App(ffi: try call { try TeatimeFFI.App.chat() }) }
  }

  private init(ffi: TeatimeFFI.App) {
    self.ffi = ffi
  }

  /// The app behind a pointer that an exported function returned. A library with models of its own, in Rust,
  /// exports a C function that returns `teatime_ffi::export_app(…)`. The pointer is not valid afterwards, even
  /// if this fails.
  ///
  /// - Throws: ``TeatimeError/Code/wrongHandle`` if the pointer does not lead to an app, or was used before.
  public init(exportedBy pointer: UnsafeMutableRawPointer) throws(TeatimeError) {
    ffi = try call { try TeatimeFFI.App.adopt(address: UInt64(UInt(bitPattern: pointer))) }
  }

  /// The app's id, such as `org.example.race`.
  public var id: String {
    get throws(TeatimeError) { try call { try ffi.id() } }
  }
}

/// The library itself.
public enum Library {
  /// The library's version, such as 0.1.0.
  public static var version: String {
    get throws(TeatimeError) { try call { try libraryVersion() } }
  }
}
