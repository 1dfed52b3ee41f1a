import ChatModel
import Foundation
import Observation
import Teatime
import XCTest

/// Longer than any step of the tests takes, even on a busy machine.
let patience: Duration = .seconds(120)

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

extension ChatModel {
  /// Waits until `wanted` accepts the model.
  func wait(for what: String, until wanted: @MainActor @Sendable (ChatModel) -> Bool) async throws {
    while true {
      let (changes, changed) = AsyncStream.makeStream(of: Void.self)
      let holds = withObservationTracking {
        wanted(self)
      } onChange: {
        changed.yield()
      }
      if holds { return }
      do {
        try await inTime(what) { for await _ in changes { return } }
      } catch let error as TimedOut {
        throw TimedOut(description: "\(error): \(texts), \(participants), \(connection)")
      }
      // The callback comes before the change is made.
      await Task.yield()
    }
  }

  func wait(forLine text: String) async throws {
    try await wait(for: text) { $0.texts.contains { $0.hasSuffix(text) } }
  }

  func wait(forParticipants number: Int) async throws {
    try await wait(for: "\(number) participants") { $0.participants == number }
  }

  func entered() async throws -> ChatModel {
    try await wait(for: "room") { !$0.nickname.isEmpty }
    return self
  }

  var texts: [String] { lines.map(\.text) }
}
