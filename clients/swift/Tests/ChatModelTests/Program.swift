#if os(Linux) || os(macOS)
  import Foundation
  import XCTest

  /// The program in a process of its own.
  final class Program: @unchecked Sendable {
    // Safe: `lines` and `rest` are only used while locked, everything else only by the test.
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private let lock = NSLock()
    private var lines: [String] = []
    private var rest = Data()
    private let (news, arrived) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let (end, ended) = AsyncStream.makeStream(of: Int32.self)

    init(_ arguments: [String]) throws {
      #if os(Linux)
        let tests = URL(fileURLWithPath: CommandLine.arguments[0])
      #else
        let tests = Bundle(for: ProgramTests.self).bundleURL
      #endif
      process.executableURL = tests.deletingLastPathComponent().appendingPathComponent(
        "teatime-chat")
      process.arguments = arguments
      process.standardInput = input
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      process.terminationHandler = { [ended] in ended.yield($0.terminationStatus) }
      try process.run()
      let reader = output.fileHandleForReading
      Thread.detachNewThread { [self] in
        while case let data = reader.availableData, !data.isEmpty { take(data) }
        arrived.finish()
      }
    }

    private func take(_ data: Data) {
      lock.withLock {
        rest += data
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          lines.append(String(decoding: rest[..<end], as: UTF8.self))
          rest = Data(rest[rest.index(after: end)...])
        }
      }
      arrived.yield()
    }

    /// All lines so far.
    var text: [String] { lock.withLock { lines } }

    /// All lines so far, as JSON.
    var seen: [[String: Any]] { text.map(Self.object) }

    private static func object(_ line: String) -> [String: Any] {
      let object = try? JSONSerialization.jsonObject(with: Data(line.utf8))
      guard let object = object as? [String: Any] else {
        XCTFail("not a JSON object: \(line)")
        return [:]
      }
      return object
    }

    /// The first line that `wanted` accepts, after the first `count` lines.
    func wait(
      _ what: String, after count: Int = 0,
      where wanted: @escaping @Sendable ([String: Any]) -> Bool
    ) async throws -> [String: Any] {
      let line = try await seeing(what) { [self] in
        var looked = count
        while true {
          let lines = text
          if let found = lines.dropFirst(looked).first(where: { wanted(Self.object($0)) }) {
            return found
          }
          looked = lines.count
          guard try await waitForNews() else {
            throw TimedOut(description: "no \(what): the program has ended")
          }
        }
      }
      return Self.object(line)
    }

    /// Runs something; its failure shows the last lines of the program.
    private func seeing<Answer: Sendable>(
      _ what: String, _ run: @escaping @Sendable () async throws -> Answer
    ) async throws -> Answer {
      do {
        return try await inTime(what, run)
      } catch let error as TimedOut {
        throw TimedOut(description: "\(error), seen: \(text.suffix(5))")
      }
    }

    /// Waits for more output. Returns false after the last.
    private func waitForNews() async throws -> Bool {
      for await _ in news { return true }
      try Task.checkCancellation()
      return false
    }

    func wait(for event: String, after count: Int = 0) async throws -> [String: Any] {
      try await wait(event, after: count) { $0["event"] as? String == event }
    }

    func wait(forParticipants number: Int, after count: Int = 0) async throws {
      _ = try await wait("\(number) participants", after: count) {
        $0["event"] as? String == "view_info" && $0["participants"] as? Int == number
      }
    }

    /// A line of the history as HTML, and the view that wrote it.
    typealias Line = (writer: String?, html: String)

    func wait(forLine text: String) async throws {
      _ = try await wait(text) { Self.lines(of: $0).contains { $0.html.hasSuffix(text) } }
    }

    /// The newest history.
    func lines() async throws -> [Line] {
      seen.last { $0["event"] as? String == "history" }.map(Self.lines) ?? []
    }

    private static func lines(of history: [String: Any]) -> [Line] {
      (history["items"] as? [[String: Any]] ?? []).map {
        ($0["view_id"] as? String, $0["html"] as? String ?? "")
      }
    }

    func say(_ members: [String: String]) throws {
      let line = try JSONSerialization.data(withJSONObject: members)
      try say(raw: String(decoding: line, as: UTF8.self))
    }

    func say(raw line: String) throws {
      try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    func endInput() {
      try? input.fileHandleForWriting.close()
    }

    func signal(_ number: Int32) {
      Foundation.kill(process.processIdentifier, number)
    }

    func kill() {
      if process.isRunning { signal(SIGKILL) }
    }

    func exitCode() async throws -> Int32 {
      let code = try await seeing("end of the program") { [end] in
        for await code in end { return code }
        throw CancellationError()
      }
      // The last lines may still be on their way.
      try await inTime("end of its output") { [self] in while try await waitForNews() {} }
      return code
    }
  }
#endif
