import Foundation

/// Standard output and standard error, a line at a time, at once.
enum Output {
  static func print(_ line: String) {
    // If nobody reads any more there is nothing left to do.
    if !write(line, to: .standardOutput) { exit(1) }
  }

  static func print(json members: [String: Any]) {
    let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
    guard let line = try? JSONSerialization.data(withJSONObject: members, options: options) else {
      preconditionFailure("strings, numbers and null can be expressed in JSON")
    }
    print(String(decoding: line, as: UTF8.self))
  }

  static func complain(_ message: String) {
    // Who closed standard error does not want to know.
    _ = write("teatime-chat: \(message)", to: .standardError)
  }

  private static func write(_ line: String, to file: FileHandle) -> Bool {
    (try? file.write(contentsOf: Data((line + "\n").utf8))) != nil
  }
}
