import Teatime
import XCTest

final class JoiningTests: SessionTestCase {
  func testAcceptance1_AnotherNameOrOtherOptionsAreAnotherSession() async throws {
    let one = try await join()
    let same = try await join()
    let another = try await join("another")
    var other = try options()
    other.options = Chat.Options(inactivitySeconds: 60)
    let shorter = try await join(other)
    XCTAssertEqual(one.id, same.id)
    XCTAssertEqual(one.badge, same.badge)
    XCTAssertEqual(Set([one.id, another.id, shorter.id]).count, 3)
    XCTAssertEqual(try another.participants, 1)
  }

  func testAcceptance1_AnotherPasswordIsAnotherSessionWithAHintAndNotVisibleToOthers() async throws {
    let owner = try await join(password: "right")
    let changes = owner.events("viewInfo", "refresh")
    for wrong in ["wrong", nil] {
      let session = try Session.start(options(password: wrong))
      let notices = session.notices
      let hint = try await inTime("hint") {
        await notices.first { if case .otherPassword = $0 { true } else { false } }
      }
      guard case .otherPassword(let message) = hint else { return XCTFail("\(hint as Any)") }
      XCTAssertTrue(message.contains("check the password"), message)
      XCTAssertNotEqual(session.id, owner.id)
      XCTAssertNotEqual(session.badge, owner.badge)
      session.leave()
    }
    let friend = try await join(password: "right")
    try await changes.first("friend")
    XCTAssertEqual(try owner.views, [owner.viewID, friend.viewID])
  }

  func testAcceptance2_TheLinkLeadsToTheSameSession() async throws {
    let host = try await join("Tea & cake/#1", password: "p w#ü")
    let link = JoinLink(
      reflector: reflector.url, app: try App.chat.id, name: "Tea & cake/#1", password: "p w#ü")
    let opened = try JoinLink(parsing: link.text)
    XCTAssertEqual(opened, link)
    let guest = try await join(JoinOptions(app: .chat, link: opened))
    XCTAssertEqual(guest.id, host.id)
    XCTAssertEqual(guest.badge, host.badge)
    try await host.wait(forParticipants: 2)
  }

  func testAcceptance3_ThreeChatAndALateJoinerSeesTheHistoryAtOnce() async throws {
    let all = [try await join(), try await join(), try await join()]
    for number in 0..<30 {
      try await all[number % 3].post("post \(number)")
    }
    let expected = Set((0..<30).map { "post \($0)" })
    for one in all {
      try await one.wait(for: "all posts") { session in
        expected.isSubset(
          of: try session.texts.compactMap { $0.split(separator: ": ").last }.map(String.init))
      }
      XCTAssertEqual(try one.history, try all[0].history)
    }
    let found = Seen<[Chat.Line]>()
    _ = try await join(options()) { session in found.add(try session.history) }
    XCTAssertEqual(found.all, [try all[0].history])
  }

  func testAcceptance11_41_EveryViewHasAnIDOfItsOwnAndKnowsIt() async throws {
    let all = [try await join(), try await join(), try await join()]
    try await all[0].wait(forParticipants: 3)
    XCTAssertEqual(try all[0].views, all.map(\.viewID))
    XCTAssertEqual(Set(all.map(\.viewID)).count, 3)
    for one in all {
      let poked = one.events(one.viewID.description, "poke")
      try one.publishToViews(one.viewID.description, "poke", 1)
      try await poked.first("poke")
    }
  }

  func testAcceptance18_RandomNumbersOfAViewAreItsOwn() async throws {
    let one = try await join()
    let other = try await join()
    let draws = try (0..<8).map { _ in try one.random() } + (0..<8).map { _ in try other.random() }
    XCTAssertEqual(Set(draws).count, 16)
  }

  func testAcceptance35_36_TheViewIsBuiltAfterItsJoinAndGetsNoEventOfIt() async throws {
    let found = Seen<(views: [ViewID], nickname: String?, changes: AsyncStream<Event>)>()
    let session = try await join(options()) { session in
      found.add(
        (
          try session.views, try session.nickname(of: session.viewID),
          session.events("viewInfo", "refresh")
        ))
    }
    XCTAssertEqual(found.all.count, 1)
    XCTAssertEqual(found.all[0].views, [session.viewID])
    XCTAssertNotEqual(found.all[0].nickname ?? "", "")
    // The first event is about another participant.
    let other = try await join()
    try await found.all[0].changes.first("change") { _ in
      XCTAssertEqual(try session.views.last, other.viewID)
      return true
    }
    other.leave()
    try await found.all[0].changes.first("change")
    session.leave()
    let rest = try await found.all[0].changes.all()
    XCTAssertEqual(rest, [])
  }

  func testTheModelStandsStillWhileTheViewIsBuilt() async throws {
    let busy = try await join()
    let writer = Task {
      for number in 0..<500 { try await busy.post("post \(number)") }
    }
    defer { writer.cancel() }
    for _ in 0..<5 {
      let hashes = Seen<String>()
      _ = try await join(options()) { session in
        for _ in 0..<50 {
          hashes.add(try session.stateHash)
          usleep(200)
        }
      }
      XCTAssertEqual(hashes.all.count, 50)
      XCTAssertEqual(Set(hashes.all).count, 1)
    }
  }

  func testAViewThatCannotBeBuiltLeaves() async throws {
    struct NoRoom: Error {}
    let stays = try await join()
    let error = await failure { try await self.join(self.options()) { _ in throw NoRoom() } }
    XCTAssert(error is NoRoom, "\(String(describing: error))")
    try await stays.wait(forParticipants: 1)
  }

  func testASessionMayBeLeftWhileItsViewIsBuilt() async throws {
    await expect(.over) { try await self.join(self.options()) { $0.leave() } }
  }

  func testInvalidOptionsAreThrownImmediately() async throws {
    let wrong: [(TeatimeError.Code, (inout JoinOptions) -> Void)] = [
      (.badName, { $0.name = "" }),
      (.badName, { $0.name = String(repeating: "🫖", count: 33) }),
      (.badPassword, { $0.password = "" }),
      (.badAddress, { $0.reflector = "http://example.org" }),
      (.badAddress, { $0.reflector = "" }),
      (.badOptions, { $0.options = 3 }),
      (.badOptions, { $0.options = ["inactivity_seconds": -1] }),
      (.encoding, { $0.options = ["inactivity_seconds": Double.nan] }),
      (.badViewData, { $0.viewData = String(repeating: "x", count: 100_000) }),
      (.badTicks, { $0.ticksPerSecond = 0 }),
      (.badTicks, { $0.ticksPerSecond = 61 }),
      (.badTicks, { $0.ticksPerSecond = -1 }),
      (.badTicks, { $0.ticksPerSecond = .max }),
      (.badCertificates, { $0.trustedCertificates = "none" }),
      (.badAgent, { $0.agent = String(repeating: "x", count: 65) }),
    ]
    for (code, spoil) in wrong {
      var spoilt = try options()
      spoil(&spoilt)
      await expect(code) { try Session.start(spoilt) }
    }
    await expect(.badLink) {
      try JoinOptions(app: .chat, link: JoinLink(reflector: nowhere, app: "other", name: "a"))
    }
    await expect(.io) { try Reflector.start(listening: "nowhere") }
  }

  func testAPointerThatDoesNotLeadToAnAppIsRefused() async throws {
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
    defer { bytes.deallocate() }
    await expect(.wrongHandle) { try App(exportedBy: bytes) }
  }
}
