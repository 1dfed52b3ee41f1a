import Teatime
import XCTest

/// What participants of the tests show.
private struct Pointer: Codable, Hashable, Sendable {
  var x: Int
  var label: String
}

final class PresenceTests: SessionTestCase {
  func testWhatAParticipantShowsTheOthersSeeUntilItEndsOrLeaves() async throws {
    for password in [nil, "secret"] {
      let one = try await join("shows \(password ?? "")", password: password)
      let other = try await join("shows \(password ?? "")", password: password)
      let seen = other.presenceUpdates(of: Pointer.self)
      let pointer = Pointer(x: 7, label: "ü")
      try one.setPresence(pointer)
      try await inTime("presence") {
        for await shown in seen where shown == [one.viewID: pointer] { return }
      }
      XCTAssertEqual(try other.presences(of: Pointer.self), [one.viewID: pointer])
      XCTAssertEqual(try one.presences(of: Pointer.self), [:])
      XCTAssertEqual(try other.presences(of: [Int].self), [:], "what is of another type is left out")
      await expect(.tooLarge) { try one.setPresence(String(repeating: "a", count: 1100)) }
      try one.clearPresence()
      try await inTime("end of the presence") {
        for await shown in other.presenceUpdates(of: Pointer.self) where shown.isEmpty { return }
      }
      try one.setPresence(pointer)
      try await inTime("presence again") {
        for await shown in other.presenceUpdates(of: Pointer.self) where !shown.isEmpty { return }
      }
      one.leave()
      try await inTime("exit") {
        for await shown in other.presenceUpdates(of: Pointer.self) where shown.isEmpty { return }
      }
      await expect(.over) { try one.setPresence(pointer) }
    }
  }
}
