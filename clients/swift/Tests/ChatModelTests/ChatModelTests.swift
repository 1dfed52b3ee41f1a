import ChatModel
import Teatime
import XCTest

/// Tests the chat's view model without a screen. Each test runs on the main actor, as screens do.
final class ChatModelTests: XCTestCase {
  private var reflector: Reflector!

  override func setUp() async throws {
    reflector = try Reflector.start(listening: "127.0.0.1:0")
  }

  override func tearDown() async throws {
    try await reflector.stop()
  }

  private func run(_ test: @MainActor @Sendable (Room) async throws -> Void) async throws {
    try await test(Room(reflector: reflector.url, name: "room"))
  }

  func testTheModelHasTheParticipantsAndTheLines() async throws {
    try await run { room in
      let one = try await ChatModel(room).entered()
      let two = try await ChatModel(room).entered()
      try await one.wait(forParticipants: 2)
      XCTAssertEqual(one.badge, two.badge)
      XCTAssertEqual(one.link, two.link)
      XCTAssertEqual(one.connection.state, .live)
      two.draft = "tea?"
      two.send()
      XCTAssertEqual(two.draft, "")
      XCTAssertNil(two.notice)
      for model in [one, two] {
        try await model.wait(forLine: "\(two.nickname): tea?")
        XCTAssertEqual(model.lines.last?.writer, two.session.viewID)
      }
      two.leave()
      try await one.wait(forParticipants: 1)
      try await two.wait(for: "end") { $0.connection.state == .left }
    }
  }

  func testAcceptance22_AnEmptyPostIsAPost() async throws {
    try await run { room in
      let model = try await ChatModel(room).entered()
      model.send()
      try await model.wait(forLine: "\(model.nickname): ")
    }
  }

  func testAcceptance25_TheLastLineIsAtTheEndAndLinesKeepTheirIDs() async throws {
    try await run { room in
      let model = try await ChatModel(room).entered()
      for number in 0..<99 { try model.post("\(number)") }
      try await model.wait(forLine: ": 98")
      let before = model.lines
      XCTAssertEqual(before.count, 100)
      try model.post("one more")
      try await model.wait(forLine: "one more")
      XCTAssertEqual(model.lines.dropLast(), before.dropFirst())
      XCTAssertEqual(Set(model.lines.map(\.id)).count, 100)
      XCTAssertEqual(model.lines.map(\.id), model.lines.map(\.id).sorted())
    }
  }

  func testAcceptance26_OnlyResetResets() async throws {
    try await run { room in
      let model = try await ChatModel(room).entered()
      for post in ["/reset ", " /reset", "/Reset", "/reset\n", "reset"] {
        model.draft = post
        model.send()
        try await model.wait(forLine: "\(model.nickname): \(post)")
      }
      XCTAssertEqual(model.lines.count, 6)
      model.draft = "/reset"
      model.send()
      try await model.wait(forLine: "chat reset at user request")
      XCTAssertEqual(model.lines.count, 1)
    }
  }

  func testAcceptance27_AUserWhoComesAloneAndHasNoLineResets() async throws {
    try await run { room in
      let first = try await ChatModel(room).entered()
      try await first.wait(forLine: "chat reset for new participants")
      try first.post("for the first user only")
      try await first.wait(forLine: "for the first user only")
      first.leave()
      await first.session.left()
      let second = try await ChatModel(room).entered()
      try await second.wait(for: "reset") {
        $0.texts == ["chat reset for new participants"]
      }
    }
  }

  func testAcceptance28_AUserWhoIsNotAloneDoesNotReset() async throws {
    try await run { room in
      let first = try await ChatModel(room).entered()
      try first.post("still here")
      try await first.wait(forLine: "still here")
      let second = try await ChatModel(room).entered()
      XCTAssertEqual(second.texts, first.texts)
      try second.post("me too")
      try await first.wait(forLine: "me too")
      XCTAssertEqual(first.texts.count, 3)
    }
  }

  func testADraftThatCannotBeSentStays() async throws {
    try await run { room in
      let model = try ChatModel(room)
      model.draft = "too early"
      model.send()
      XCTAssertEqual(model.draft, "too early")
      XCTAssertNotNil(model.notice)
      _ = try await model.entered()
      let long = String(repeating: "x", count: 1 << 20)
      model.draft = long
      model.send()
      XCTAssertEqual(model.draft.count, long.count)
      XCTAssertTrue(model.notice?.contains("bytes") == true, "\(model.notice ?? "nothing")")
      model.draft = "short"
      model.send()
      XCTAssertNil(model.notice)
      try await model.wait(forLine: "short")
      model.leave()
      model.draft = "too late"
      model.send()
      XCTAssertEqual(model.draft, "too late")
    }
  }

  func testAfterARestartOfTheReflectorTheRoomStartsEmpty() async throws {
    let address = String(reflector.url.dropFirst("ws://".count))
    let reflector = self.reflector!
    try await run { room in
      let model = try await ChatModel(room).entered()
      try model.post("gone")
      try await model.wait(forLine: "gone")
      try await reflector.stop()
      try await model.wait(for: "loss") { $0.connection.state == .reconnecting }
      let again = try Reflector.start(listening: address)
      try await model.wait(for: "new room") { $0.texts == ["chat reset for new participants"] }
      XCTAssertEqual(model.connection.state, .live)
      try model.post("back")
      try await model.wait(forLine: "back")
      try await again.stop()
    }
  }

  func testDroppingTheModelLeavesTheRoom() async throws {
    try await run { room in
      let stays = try await ChatModel(room).entered()
      weak var dropped: ChatModel?
      do {
        let model = try await ChatModel(room).entered()
        dropped = model
        try await stays.wait(forParticipants: 2)
      }
      try await stays.wait(forParticipants: 1)
      XCTAssertNil(dropped)
    }
  }

  func testSettlingWaitsForAllSentPosts() async throws {
    try await run { room in
      let model = try await ChatModel(room).entered()
      for number in 0..<50 { try model.post("\(number)") }
      await model.settle()
      XCTAssertEqual(model.texts.last, "\(model.nickname): 49")
    }
  }
}
