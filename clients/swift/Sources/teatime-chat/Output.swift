import Foundation
import Teatime

/// Writes lines to standard output and standard error, without a buffer.
@MainActor
enum Output {
  /// Whether the reader of the output, or the terminal, is gone.
  private(set) static var isGone = false
  /// Called when the reader is gone, to leave the room.
  static var onGone: @MainActor () -> Void = {}

  static func print(_ line: String) {
    guard !isGone, !write(line, to: .standardOutput) else { return }
    isGone = true
    onGone()
  }

  /// Prints a text of other users.
  static func print(text: String) {
    print(printable(text))
  }

  private static func printable(_ text: String) -> String {
    // The only way to fail is a library that does not fit to this program.
    (try? Chat.printable(text)) ?? ""
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
    _ = write("teatime-chat: \(printable(message))", to: .standardError)
  }

  private static func write(_ line: String, to file: FileHandle) -> Bool {
    (try? file.write(contentsOf: Data((line + "\n").utf8))) != nil
  }
}
