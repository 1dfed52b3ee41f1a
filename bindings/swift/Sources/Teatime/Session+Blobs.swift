import Dispatch
import Foundation
internal import TeatimeFFI

extension Session {
  /// Called with the progress of a transfer: at most about ten times a second, one call after the other, and
  /// never after the end.
  public typealias ProgressHandler = @Sendable (TransferProgress) -> Void

  /// Stores bytes as a blob beside the session. Returns its handle, for models and events. Equal content is
  /// stored once. The transfer continues through short outages, and after the app has left the session.
  /// Cancelling the task cancels it; the next attempt does not send again what has arrived.
  ///
  /// - Throws: ``TeatimeError/Code/blobTooLarge`` before anything is sent, and other codes of its hundred;
  ///   ``TeatimeError/Code/unreachable``, ``TeatimeError/Code/notStored``,
  ///   ``TeatimeError/Code/over``; `CancellationError`.
  public func store(bytes: Data, progress: ProgressHandler? = nil) async throws -> BlobHandle {
    try await handle(of: transfer({ try $0.storeBytes(content: bytes) }, progress))
  }

  /// The same with a file. Only a few pieces of it are in memory at a time.
  ///
  /// - Throws: The same, and ``TeatimeError/Code/io`` if reading the file fails.
  public func store(file: URL, progress: ProgressHandler? = nil) async throws -> BlobHandle {
    let path = file.path
    return try await handle(of: transfer({ try $0.storeFile(file: path) }, progress))
  }

  /// Fetches a whole blob. The library checks all bytes, and never returns wrong ones.
  ///
  /// - Throws: ``TeatimeError/Code/unknownBlob``, ``TeatimeError/Code/otherSession``,
  ///   ``TeatimeError/Code/wrongBytes``; ``TeatimeError/Code/unreachable``,
  ///   ``TeatimeError/Code/over``; `CancellationError`.
  public func fetch(_ blob: BlobHandle, progress: ProgressHandler? = nil) async throws -> Data {
    try await transfer({ try $0.fetchBytes(handle: blob.description) }, progress)
  }

  /// Fetches a blob into a file. At the end the file is complete, or unchanged.
  ///
  /// If the transfer ends early or is cancelled, the pieces that have arrived stay beside the file, in a file
  /// with its name, some digits and `.part`. A later fetch of the same blob into the same file continues there; a
  /// concurrent one waits. The library removes the partial file when it can never be continued. The app removes
  /// the files `FILE.*.part` of blobs that it no longer needs.
  ///
  /// - Throws: The same, and ``TeatimeError/Code/io`` if writing the file fails.
  public func fetch(
    _ blob: BlobHandle, into file: URL, progress: ProgressHandler? = nil
  ) async throws {
    let path = file.path
    _ = try await transfer(
      { try $0.fetchFile(handle: blob.description, file: path) }, progress)
  }

  /// Whether a handle belongs to this session's app, room and password. Does not use the network. With a
  /// password the first use of blobs takes about 30 ms.
  public func owns(_ blob: BlobHandle) throws(TeatimeError) -> Bool {
    try call { try ffi.ownsBlob(handle: blob.description) }
  }

  private func handle(of text: Data) throws -> BlobHandle {
    guard let handle = BlobHandle(String(decoding: text, as: UTF8.self)) else {
      throw TeatimeError(.panic, "the library returned an invalid blob handle")
    }
    return handle
  }

  /// Starts a transfer and waits for its end.
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
    var last = TransferProgress(done: 0, total: 0)
    // Cancelling the task ends this loop.
    for await _ in bells {
      let result = try call { try transfer.result() }
      let now = TransferProgress(try call { try transfer.progress() })
      if now != last {
        last = now
        progress?(now)
      }
      if let result { return result }
    }
    try call { try transfer.cancel() }
    throw CancellationError()
  }

  /// Runs on another thread, because deriving keys and copying would block one of the pool that tasks share.
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

/// Wakes the task that waits for a transfer.
private final class TransferBell: TeatimeFFI.Waker {
  private let continuation: AsyncStream<Void>.Continuation

  init(_ continuation: AsyncStream<Void>.Continuation) {
    self.continuation = continuation
  }

  func wake() { continuation.yield() }
}
