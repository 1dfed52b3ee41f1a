import Dispatch
import Foundation
internal import TeatimeFFI

extension Session {
  /// Is told how far a blob is: at most some ten times a second, one call after the other, and never
  /// after the end.
  public typealias ProgressHandler = @Sendable (TransferProgress) -> Void

  /// Stores data beside the session, and returns what stands for it in models and events. It goes on
  /// through short outages, also when the session is left meanwhile; equal data is stored once. Cancelling
  /// the task ends it; what has arrived by then is not sent again the next time.
  ///
  /// - Throws: ``TeatimeError/Code/blobTooLarge`` before anything is sent; others of its hundred;
  ///   ``TeatimeError/Code/unreachable``, ``TeatimeError/Code/notStored``,
  ///   ``TeatimeError/Code/over``; `CancellationError`.
  public func store(data: Data, progress: ProgressHandler? = nil) async throws -> BlobHandle {
    try await handle(of: transfer({ try $0.storeBytes(content: data) }, progress))
  }

  /// The same with a file, of which only a few pieces are in memory at a time.
  ///
  /// - Throws: The same, and ``TeatimeError/Code/io`` if the file cannot be read.
  public func store(file: URL, progress: ProgressHandler? = nil) async throws -> BlobHandle {
    let path = file.path
    return try await handle(of: transfer({ try $0.storeFile(file: path) }, progress))
  }

  /// Fetches a blob whole. Wrong bytes are never given out.
  ///
  /// - Throws: ``TeatimeError/Code/unknownBlob``, ``TeatimeError/Code/otherSession``,
  ///   ``TeatimeError/Code/wrongBytes``; ``TeatimeError/Code/unreachable``,
  ///   ``TeatimeError/Code/over``; `CancellationError`.
  public func fetch(_ blob: BlobHandle, progress: ProgressHandler? = nil) async throws -> Data {
    try await transfer({ try $0.fetchBytes(handle: blob.description) }, progress)
  }

  /// Fetches a blob into a file, which is there whole in the end, or as it was before.
  ///
  /// What has arrived when it ends early, also when the task is cancelled, stays beside it, in a file of
  /// its name, some digits and `.part`: who fetches the same blob into the same file goes on there, or
  /// waits while somebody else does that. It is removed if nobody can ever go on; remove the files
  /// `FILE.*.part` of blobs that are not wanted any more.
  ///
  /// - Throws: The same, and ``TeatimeError/Code/io`` if the file cannot be written.
  public func fetch(
    _ blob: BlobHandle, into file: URL, progress: ProgressHandler? = nil
  ) async throws {
    let path = file.path
    _ = try await transfer(
      { try $0.fetchFile(handle: blob.description, file: path) }, progress)
  }

  /// Whether a handle belongs to this session's app and room, and to its password. Nobody is asked.
  /// With a password the first use of blobs takes some 30 ms.
  public func owns(_ blob: BlobHandle) throws(TeatimeError) -> Bool {
    try call { try ffi.ownsBlob(handle: blob.description) }
  }

  private func handle(of text: Data) throws -> BlobHandle {
    guard let handle = BlobHandle(String(decoding: text, as: UTF8.self)) else {
      throw TeatimeError(.panic, "the library made a handle that is none")
    }
    return handle
  }

  /// Starts something and waits until it is over.
  private func transfer(
    _ start: @escaping @Sendable (TeatimeFFI.Session) throws -> Transfer,
    _ progress: ProgressHandler?
  ) async throws -> Data {
    try Task.checkCancellation()
    let session = try ffi
    let transfer = try await Self.starting { try start(session) }
    let (bells, continuation) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    try call { try transfer.setWaker(waker: TransferBell(continuation)) }
    var told = TransferProgress(done: 0, total: 0)
    // It ends when the task is cancelled.
    for await _ in bells {
      let result = try call { try transfer.result() }
      let now = TransferProgress(try call { try transfer.progress() })
      if now != told {
        told = now
        progress?(now)
      }
      if let result { return result }
    }
    try call { try transfer.cancel() }
    throw CancellationError()
  }

  /// Deriving keys and copying take their time: not on a thread of the pool that tasks share.
  private static func starting(
    _ start: @escaping @Sendable () throws -> Transfer
  ) async throws -> Transfer {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global(qos: .userInitiated).async {
        continuation.resume(with: Result { try call(start) })
      }
    }
  }
}

extension TransferProgress {
  init(_ progress: TeatimeFFI.TransferProgress) {
    self.init(done: Int(clamping: progress.done), total: Int(clamping: progress.total))
  }
}

/// Passes on that a transfer has something to tell.
private final class TransferBell: TeatimeFFI.Waker {
  private let continuation: AsyncStream<Void>.Continuation

  init(_ continuation: AsyncStream<Void>.Continuation) {
    self.continuation = continuation
  }

  func wake() { continuation.yield() }
}
