import Teatime
import XCTest

final class EventTests: SessionTestCase {
  func testTenThousandEventsOfTheModelComeWithoutALoss() async throws {
    let watcher = try await join()
    let refreshes = watcher.events("history", "refresh")
    let writers = [
      try await join(), try await join(), try await join(), try await join(), try await join(),
    ]
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in writers {
        group.addTask {
          for number in 0..<2_000 { try await writer.post("\(number)") }
          try await writer.waitUntilApplied(writer.publish("input", "other"))
        }
      }
      try await group.waitForAll()
    }
    try await inTime("10,000 events") {
      var count = 0
      for await _ in refreshes {
        count += 1
        if count == 10_000 { break }
      }
    }
    try await watcher.waitUntilApplied(watcher.publish("input", "other"))
    watcher.leave()
    let more = try await refreshes.all()
    XCTAssertEqual(more, [])
  }

  func testTenThousandEventsOfAViewComeInOrder() async throws {
    let session = try await join()
    let numbers = session.events("a", "number")
    for number in 0..<10_000 { try session.publishToViews("a", "number", number) }
    let got = try await inTime("10,000 numbers") {
      var got: [Int] = []
      for await event in numbers {
        got.append(try event.decode())
        if got.count == 10_000 { break }
      }
      return got
    }
    XCTAssertEqual(got, Array(0..<10_000))
  }

  func testTheSequenceOfAConsumerThatIsTooFarBehindEnds() async throws {
    let session = try await join()
    let numbers = session.events("a", "number")
    let end = session.events("a", "end", handling: .latest)
    try await inTime("room for 65,540 events") {
      var number = 0
      while number < 65_540 {
        do {
          try session.publishToViews("a", "number", number)
          number += 1
        } catch let error as TeatimeError where error.code == .tooFast {
          try await Task.sleep(for: .milliseconds(1))
        }
      }
    }
    try session.publishToViews("a", "end", 0)
    try await end.first("end")
    let left = try await numbers.all()
    XCTAssertEqual(left.count, 65_536)
    XCTAssertEqual(try left.last?.decode(as: Int.self), 65_535)
    XCTAssertFalse(session.connection.state.isOver)
    // The session and other subscriptions go on.
    let more = session.events("a", "number", handling: .latest)
    try session.publishToViews("a", "number", 7)
    try await more.first("number")
  }

  func testTheLatestIsTheNewestThatWasNotTaken() async throws {
    let session = try await join()
    let latest = session.events("a", "number", handling: .latest)
    let end = session.events("a", "end", handling: .latest)
    for number in 0...1_000 { try session.publishToViews("a", "number", number) }
    try session.publishToViews("a", "end", 0)
    try await end.first("end")
    session.leave()
    let left = try await latest.all()
    XCTAssertEqual(try left.map { try $0.decode(as: Int.self) }, [1_000])
  }

  func testASubscriptionBeginsWithTheCall() async throws {
    let session = try await join()
    let events = session.events("history", "refresh")
    try await session.waitUntilApplied(session.post("before the loop"))
    session.leave()
    let seen = try await events.all()
    XCTAssertEqual(seen.count, 1)
    XCTAssertEqual(seen[0].scope, "history")
    XCTAssertEqual(seen[0].event, "refresh")
    XCTAssertEqual(seen[0].model, .root)
    let change: Chat.Change = try seen[0].decode()
    XCTAssertEqual(change.dropped, 0)
    XCTAssertTrue(change.line.html.hasSuffix("before the loop"), change.line.html)
  }

  func testStarsMatchEverything() async throws {
    let session = try await join()
    let topics = [("*", "*"), ("a", "*"), ("*", "b"), ("a", "b"), ("b", "a")]
    let streams = topics.map { session.events($0.0, $0.1) }
    let end = session.events("end", "end")
    try session.publishToViews("a", "b", 1)
    try session.publishToViews("", "", 2)
    try session.publishToViews("end", "end", 0)
    try await end.first("end")
    session.leave()
    var counts: [Int] = []
    for stream in streams {
      counts.append(try await stream.all().filter { $0.scope != "end" }.count)
    }
    XCTAssertEqual(counts, [2, 1, 1, 1, 0])
  }

  func testAStarLearnsWhatItHears() async throws {
    let session = try await join()
    let all = session.events("*", "*")
    try session.publishToViews("a", "b", 1)
    try await session.waitUntilApplied(session.post("heard"))
    session.leave()
    let heard = try await all.all().map { [$0.scope, $0.event, $0.model.map { "\($0.rawValue)" }] }
    XCTAssertEqual(heard, [["a", "b", nil], ["history", "refresh", "1"]])
  }

  func testAcceptance19_APostChangesNothingBeforeItIsBack() async throws {
    let session = try await join()
    try await session.waitUntilApplied(session.post("first"))
    try await reflector.stop()
    try await session.connectionStates.first("loss") { $0.state == .reconnecting }
    let stood = try session.stateHash
    let receipt = try session.publish("input", "newPost", Chat.Post(text: "second"))
    let waiting = Task { try await session.applied(receipt) }
    try await session.connectionStates.first("attempt") { $0.reason?.code == .unreachable }
    XCTAssertEqual(try session.stateHash, stood)
    XCTAssertEqual(try session.texts.count, 1)
    waiting.cancel()
  }

  func testAcceptance19_AllApplyTheSameOrder() async throws {
    let sessions = [try await join(), try await join()]
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (number, session) in sessions.enumerated() {
        group.addTask {
          for post in 0..<40 { try await session.post("\(number) \(post)") }
          try await session.waitUntilApplied(session.publish("input", "other"))
        }
      }
      try await group.waitForAll()
    }
    for session in sessions {
      try await session.wait(for: "all posts") { try $0.history.count == 80 }
    }
    XCTAssertEqual(try sessions[0].history, try sessions[1].history)
  }

  func testAcceptance20_TheNicknameIsThatOfTheStampedSender() async throws {
    struct Forged: Encodable {
      let text: String
      let viewID: ViewID
      let sender: ViewID

      enum CodingKeys: String, CodingKey {
        case text, sender
        case viewID = "view_id"
      }
    }
    let victim = try await join()
    let forger = try await join()
    let forged = Forged(text: "I am you", viewID: victim.viewID, sender: victim.viewID)
    try await forger.waitUntilApplied(forger.publish("input", "newPost", forged))
    try await forger.waitUntilApplied(forger.post("It is me"))
    let nickname = try XCTUnwrap(try forger.nickname(of: forger.viewID))
    for line in try forger.history {
      XCTAssertEqual(line.viewID, forger.viewID)
      XCTAssertTrue(line.html.hasPrefix("<b>\(nickname):</b>"), line.html)
    }
    XCTAssertEqual(try forger.texts.last, "\(nickname): It is me")
  }

  func testAcceptance21_AllTypedTextIsShownLiterally() async throws {
    let session = try await join()
    let other = try await join()
    let nickname = try XCTUnwrap(try session.nickname(of: session.viewID))
    let texts = [
      "<img onerror=\"x\">", "a<b && c>d", "&lt;", "it's", "", " ", "🫖👨‍👩‍👧‍👦é\u{301}", "a\0b",
      "\u{202e}abc\u{2028}", "\\u0041\n\r\t\"", "\u{10FFFF}\u{FEFF}",
      String(repeating: "茶", count: 10_000),
    ]
    for text in texts { try await session.waitUntilApplied(session.post(text)) }
    try await other.wait(for: "all lines") { try $0.history.count == texts.count }
    XCTAssertEqual(try other.texts, texts.map { "\(nickname): \($0)" })
    for line in try other.history {
      XCTAssertFalse(
        line.html.dropFirst("<b>\(nickname):</b>".count).contains { "<>\"'".contains($0) })
    }
  }

  func testJSONCrossesUnchanged() async throws {
    struct Everything: Codable, Equatable {
      var numbers = [0, -1, Int.max, Int.min]
      var fractions = [0.1, -1.5e300, 2.2250738585072014e-308]
      var flag = true
      var nothing: Int?
      var texts = [
        "", "\0", "🫖", "\u{1F468}\u{200D}\u{1F469}", "\"\\/\u{8}\u{c}\n\r\t", "\u{7f}\u{80}",
      ]
      var nested = ["": ["a": [[1], []]], "ключ": [:]]
      var huge = String(repeating: "é\0", count: 1 << 20)
    }
    let session = try await join()
    let events = session.events("a", "b")
    try session.publishToViews("a", "b", Everything())
    let back: Everything = try await events.first("value").decode()
    XCTAssertEqual(back, Everything())
  }

  func testInvalidPayloadsAreThrown() async throws {
    let session = try await join()
    await expect(.tooLarge) {
      try session.publish("input", "newPost", String(repeating: "x", count: 1 << 20))
    }
    await expect(.encoding) { try session.publish("a", "b", Double.infinity) }
    await expect(.encoding) { try session.publishToViews("a", "b", [Double.nan]) }
    let events = session.events("a", "b")
    try session.publishToViews("a", "b", "text")
    let event = try await events.first("text")
    await expect(.wrongType) { try event.decode(as: Int.self) }
    // Payloads that the model cannot decode do no harm.
    try await session.waitUntilApplied(session.publish("input", "newPost", [1, 2, 3]))
    try await session.waitUntilApplied(session.publish("", "", Data(count: 1000)))
    try await session.waitUntilApplied(session.publish("*", "*"))
    try await session.waitUntilApplied(session.post("still here"))
    XCTAssertEqual(try session.texts.count, 1)
  }

  func testManyTasksMayUseASessionAtOnce() async throws {
    let session = try await join()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for number in 0..<50 {
            let receipt = try await session.post("\(task) \(number)")
            _ = try session.history
            for await _ in session.events("a", "nothing").prefix(0) {}
            try await session.waitUntilApplied(receipt)
          }
        }
      }
      try await group.waitForAll()
    }
    XCTAssertEqual(try session.history.count, 100)
  }
}
