import Dispatch
internal import TeatimeFFI

/// A reflector on this machine, which this process hosts or has found.
public final class Reflector: Sendable {
  private let ffi: TeatimeFFI.Reflector
  /// The address at which clients join sessions, such as `ws://127.0.0.1:9090`.
  public let url: String

  private init(_ ffi: TeatimeFFI.Reflector) throws {
    self.ffi = ffi
    url = try ffi.url()
  }

  /// Hosts a reflector that listens at an address such as `127.0.0.1:9090`. Port 0 picks a free port.
  ///
  /// - Throws: ``TeatimeError/Code/io`` if it cannot listen there.
  public static func start(listening address: String) throws(TeatimeError) -> Reflector {
    try call { try Reflector(TeatimeFFI.Reflector.start(listen: address)) }
  }

  /// Finds the reflector of this machine. If none runs, this process hosts one that only this machine can reach.
  /// The environment variable `TEATIME_PORT` names a port other than the default.
  public static func local() throws(TeatimeError) -> Reflector {
    try call { try Reflector(TeatimeFFI.Reflector.local()) }
  }

  /// Stops the reflector if this process hosts it, and asks its clients to come back later. Takes up to two
  /// seconds. A second call does nothing. Without a call the reflector stops when this object is dropped.
  public func stop() async throws(TeatimeError) {
    // On another thread, because it would block one of the pool that tasks share.
    let failure: TeatimeError? = await withCheckedContinuation { continuation in
      DispatchQueue.global().async { [ffi] in
        do {
          try ffi.stop()
          continuation.resume(returning: nil)
        } catch {
          continuation.resume(returning: TeatimeError(error))
        }
      }
    }
    if let failure { throw failure }
  }
}
