internal import TeatimeFFI

/// The progress of a transfer.
public struct TransferProgress: Sendable, Hashable {
  /// Bytes of the blob that have been transferred.
  public let done: Int
  /// Size of the blob in bytes; 0 before the transfer has begun.
  public let total: Int

  /// From 0 to 1.
  public var fraction: Double { total == 0 ? 0 : Double(done) / Double(total) }
}

extension TransferProgress {
  init(_ progress: TeatimeFFI.TransferProgress) {
    self.init(done: Int(clamping: progress.done), total: Int(clamping: progress.total))
  }
}
