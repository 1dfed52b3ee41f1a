import Foundation
import Teatime
import XCTest

/// Longer than any step of the tests takes, even on a busy machine.
let patience: Duration = .seconds(120)

/// An address where no reflector listens.
let nowhere = "ws://127.0.0.1:1"

/// An expected event did not happen in time.
struct TimedOut: Error, CustomStringConvertible {
  let description: String
}

/// Runs something, and fails if it takes longer than `patience`.
func inTime<Answer: Sendable>(
  _ what: String, _ run: @escaping @Sendable () async throws -> Answer
) async throws -> Answer {
  try await withThrowingTaskGroup(of: Answer.self) { group in
    group.addTask(operation: run)
    group.addTask {
      try await Task.sleep(for: patience)
      throw TimedOut(description: "no \(what)")
    }
    defer { group.cancelAll() }
    guard let answer = try await group.next() else { throw CancellationError() }
    return answer
  }
}

extension AsyncStream where Element: Sendable {
  /// The next element that `wanted` accepts. A failure shows the elements before.
  @discardableResult
  func first(
    _ what: String, where wanted: @escaping @Sendable (Element) throws -> Bool = { _ in true }
  ) async throws -> Element {
    let seen = Seen<Element>()
    do {
      return try await inTime(what) {
        for await element in self {
          seen.add(element)
          if try wanted(element) { return element }
        }
        throw TimedOut(description: "no \(what): the sequence has ended")
      }
    } catch let error as TimedOut {
      throw TimedOut(description: "\(error), seen: \(seen.all.suffix(20))")
    }
  }

  /// All elements until the end.
  func all() async throws -> [Element] {
    try await inTime("end of the sequence") {
      var all: [Element] = []
      for await element in self { all.append(element) }
      return all
    }
  }
}

/// Elements that several tasks have seen so far.
final class Seen<Element: Sendable>: @unchecked Sendable {
  // Safe: only used while locked.
  private var elements: [Element] = []
  private let lock = NSLock()

  func add(_ element: Element) { lock.withLock { elements.append(element) } }

  var all: [Element] { lock.withLock { elements } }
}

/// A test with a reflector of its own.
class SessionTestCase: XCTestCase {
  private(set) var reflector: Reflector!

  override func setUp() async throws {
    reflector = try Reflector.start(listening: "127.0.0.1:0")
  }

  override func tearDown() async throws {
    try await reflector.stop()
  }

  func options(_ name: String = "room", password: String? = nil) throws -> JoinOptions {
    JoinOptions(
      app: try .chat, reflector: reflector.url, name: name, password: password,
      options: Chat.Options())
  }

  func join(_ name: String = "room", password: String? = nil) async throws -> Session {
    try await join(options(name, password: password))
  }

  func join(_ options: JoinOptions, onReady: Session.ViewBuilder? = nil) async throws -> Session {
    try await inTime("join") { try await Session.join(options, onReady: onReady) }
  }
}

extension Session {
  var history: [Chat.Line] { get throws { try read("history") } }

  var texts: [String] {
    get throws { try history.map { line in try Chat.plainText(ofHTML: line.html) } }
  }

  var participants: Int { get throws { try read("participants") } }

  func nickname(of view: ViewID) throws -> String? { try read("nickname", view) }

  /// Sends a post as soon as the rate limit allows it.
  @discardableResult
  func post(_ text: String) async throws -> Receipt {
    try await inTime("room for a post") {
      while true {
        do {
          return try self.publish("input", "newPost", Chat.Post(text: text))
        } catch let error as TeatimeError where error.code == .tooFast {
          try await Task.sleep(for: .milliseconds(1))
        }
      }
    }
  }

  func waitUntilApplied(_ receipt: Receipt) async throws {
    try await inTime("echo") { try await self.applied(receipt) }
  }

  /// Waits until `wanted` accepts the session. Looks again after every event.
  func wait(
    for what: String, until wanted: @escaping @Sendable (Session) throws -> Bool
  ) async throws {
    let changes = events("*", "*", handling: .latest)
    if try wanted(self) { return }
    do {
      try await changes.first(what) { _ in try wanted(self) }
    } catch let error as TimedOut {
      throw TimedOut(description: "\(error), history: \(try texts), views: \(try views)")
    }
  }

  func wait(forLine text: String) async throws {
    try await wait(for: text) { try $0.texts.contains { $0.hasSuffix(text) } }
  }

  func wait(forParticipants number: Int) async throws {
    try await wait(for: "\(number) participants") { try $0.participants == number }
  }
}

/// The error of something that must fail.
func failure<Answer>(
  of run: () async throws -> Answer, file: StaticString = #filePath, line: UInt = #line
) async -> (any Error)? {
  do {
    let answer = try await run()
    XCTFail("it did not fail: \(answer)", file: file, line: line)
    return nil
  } catch {
    return error
  }
}

/// Checks that something fails with this code, and with a message.
func expect<Answer>(
  _ code: TeatimeError.Code, _ run: () async throws -> Answer, file: StaticString = #filePath,
  line: UInt = #line
) async {
  guard let error = await failure(of: run, file: file, line: line) else { return }
  let failure = error as? TeatimeError
  XCTAssertEqual(failure?.code, code, "\(error)", file: file, line: line)
  XCTAssertNotEqual(failure?.message, "", file: file, line: line)
}
