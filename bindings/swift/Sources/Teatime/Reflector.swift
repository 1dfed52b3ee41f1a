import Dispatch
internal import TeatimeFFI

/// A reflector on this machine: hosted by this process, or found.
public final class Reflector: Sendable {
  private let ffi: TeatimeFFI.Reflector
  /// The address by which sessions are joined, such as `ws://127.0.0.1:9090`.
  public let url: String

  private init(_ ffi: TeatimeFFI.Reflector) throws {
    self.ffi = ffi
    url = try ffi.url()
  }

  /// Hosts a reflector that listens at an address such as `127.0.0.1:9090`; port 0 picks a free one.
  ///
  /// - Throws: ``TeatimeError/Code/io`` if nothing can listen there.
  public static func start(listening address: String) throws(TeatimeError) -> Reflector {
    try call { try Reflector(TeatimeFFI.Reflector.start(listen: address)) }
  }

  /// Finds the reflector of this machine; if there is none this process hosts it, reachable from this
  /// machine only. `TEATIME_PORT` in the environment names another port than the usual one.
  public static func local() throws(TeatimeError) -> Reflector {
    try call { try Reflector(TeatimeFFI.Reflector.local()) }
  }

  /// Ends it, if this process hosts it: its clients are told to come back later. Takes up to two
  /// seconds; the second time it does nothing. What is not stopped ends with the object.
  public func stop() async throws(TeatimeError) {
    // Not on a thread of the pool that tasks share.
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
