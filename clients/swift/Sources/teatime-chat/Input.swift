import Foundation

/// Standard input, line by line.
enum Input {
  /// The lines, without their line ends. A thread of its own reads them, because reading blocks. It does not read
  /// by the C library, whose `exit` would wait for it.
  static func lines() -> AsyncStream<String> {
    AsyncStream { continuation in
      Thread.detachNewThread {
        var rest = Data()
        while case let data = FileHandle.standardInput.availableData, !data.isEmpty {
          rest += data
          while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            continuation.yield(line(rest[..<end]))
            rest = rest[rest.index(after: end)...]
          }
          // A copy, because a slice would hold all earlier input in memory.
          rest = Data(rest)
        }
        if !rest.isEmpty { continuation.yield(line(rest)) }
        continuation.finish()
      }
    }
  }

  private static func line(_ bytes: Data) -> String {
    String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
  }
}
