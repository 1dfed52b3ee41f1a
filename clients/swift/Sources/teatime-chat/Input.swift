import Foundation

/// Standard input, line by line.
enum Input {
  /// The lines, without their line ends. A thread of its own reads them, because reading blocks. It does not read
  /// by the C library, whose `exit` would wait for it.
  static func lines() -> AsyncStream<String> {
    AsyncStream { continuation in
      Thread.detachNewThread {
        var rest = Data()
        var isFirst = true
        let size = 65_536
        var buffer = [UInt8](repeating: 0, count: size)
        while true {
          // Not by `FileHandle`, which ends the program if the terminal is gone.
          let count = read(STDIN_FILENO, &buffer, size)
          if count < 0 && errno == EINTR { continue }
          if count <= 0 { break }
          rest += buffer[..<count]
          while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            continuation.yield(line(rest[..<end], isFirst: isFirst))
            isFirst = false
            rest = rest[rest.index(after: end)...]
          }
          // A copy, because a slice would hold all earlier input in memory.
          rest = Data(rest)
        }
        if !rest.isEmpty { continuation.yield(line(rest, isFirst: isFirst)) }
        continuation.finish()
      }
    }
  }

  private static func line(_ bytes: Data, isFirst: Bool) -> String {
    // Some editors begin a file with a byte order mark.
    let text = isFirst && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes
    return String(decoding: text.last == UInt8(ascii: "\r") ? text.dropLast() : text, as: UTF8.self)
  }
}
