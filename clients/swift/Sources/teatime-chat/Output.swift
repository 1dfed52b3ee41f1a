import Foundation

/// Writes lines to standard output and standard error, without a buffer.
enum Output {
  static func print(_ line: String) {
    // The reader of the output is gone.
    if !write(line, to: .standardOutput) { exit(1) }
  }

  static func print(json members: [String: Any]) {
    let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
    guard let line = try? JSONSerialization.data(withJSONObject: members, options: options) else {
      preconditionFailure("JSON can express strings, numbers and null")
    }
    print(String(decoding: line, as: UTF8.self))
  }

  static func complain(_ message: String) {
    // A failure cannot be reported if standard error is closed.
    _ = write("teatime-chat: \(message)", to: .standardError)
  }

  private static func write(_ line: String, to file: FileHandle) -> Bool {
    (try? file.write(contentsOf: Data((line + "\n").utf8))) != nil
  }
}
