#if os(Linux) || os(macOS)
  import Foundation
  import Teatime
  import XCTest

  /// An app that the system freezes in the background: the program TeatimeFrozen, a process of its own.
  final class FrozenTests: SessionTestCase {
    func testAnAppThatWasFrozenForLongerThanItsTimeToLeaveComesBackAndMissesNothing() async throws {
      let other = try await join()
      let phone = try Phone(reflector.url)
      defer { phone.end() }
      _ = try await phone.next("ready")
      try await other.wait(forParticipants: 2)
      phone.say("away")
      _ = try await phone.next("away")
      phone.signal(SIGSTOP)
      // The app does not run, and leaves nevertheless.
      try await other.wait(forParticipants: 1)
      try await other.waitUntilApplied(other.post("meanwhile"))
      phone.signal(SIGCONT)
      phone.say("back")
      let lines = try await phone.next("back").split(separator: "|")
      let texts = lines.suffix(3).map { $0.components(separatedBy: ": ").last }
      XCTAssertEqual(texts, ["going", "meanwhile", "here again"])
      try await other.wait(forParticipants: 2)
    }
  }

  /// Talks with the program by lines.
  private final class Phone: @unchecked Sendable {
    // Safe: only the test uses it.
    private let process = Process()
    private let input = Pipe()
    private let lines: AsyncStream<String>

    init(_ url: String) throws {
      #if os(Linux)
        let tests = URL(fileURLWithPath: CommandLine.arguments[0])
      #else
        let tests = Bundle(for: FrozenTests.self).bundleURL
      #endif
      process.executableURL = tests.deletingLastPathComponent().appendingPathComponent(
        "TeatimeFrozen")
      process.arguments = [url]
      process.standardInput = input
      let output = Pipe()
      process.standardOutput = output
      let (lines, found) = AsyncStream.makeStream(of: String.self)
      self.lines = lines
      try process.run()
      let reader = output.fileHandleForReading
      Thread.detachNewThread {
        var rest = Data()
        while case let data = reader.availableData, !data.isEmpty {
          rest += data
          while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            found.yield(String(decoding: rest[..<end], as: UTF8.self))
            rest = Data(rest[rest.index(after: end)...])
          }
        }
        found.finish()
      }
    }

    func say(_ line: String) {
      try? input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Waits for a line that begins with this word, and returns the rest of it.
    func next(_ word: String) async throws -> String {
      let line = try await lines.first(word) { $0.hasPrefix(word) }
      return String(line.dropFirst(word.count)).trimmingCharacters(in: .whitespaces)
    }

    func signal(_ number: Int32) {
      kill(process.processIdentifier, number)
    }

    func end() {
      if process.isRunning { signal(SIGKILL) }
    }
  }
#endif
