import Teatime
import XCTest

final class OutageTests: SessionTestCase {
  func testAcceptance12_AnOutageLosesNothing() async throws {
    let phone = try await join()
    let other = try await join()
    try await other.wait(forParticipants: 2)
    let changes = other.events("viewInfo", "refresh")
    let notices = phone.notices
    let states = phone.connectionStates
    phone.reconnect()
    // Both of them post while the connection is down.
    try await phone.post("from here")
    try await other.post("from there")
    try await states.first("loss") { $0.state == .reconnecting }
    try await states.first("line") { $0.state == .live }
    for session in [phone, other] {
      try await session.wait(forLine: "from here")
      try await session.wait(forLine: "from there")
    }
    XCTAssertEqual(try phone.history, try other.history)
    phone.leave()
    try await other.wait(forParticipants: 1)
    other.leave()
    let (seen, all) = (try await changes.all(), try await notices.all())
    XCTAssertEqual(seen.count, 1, "only the leave at the end: \(seen)")
    XCTAssertFalse(all.contains(.viewLost), "\(all)")
  }

  func testAcceptance12_SecondsInTheBackgroundAreNotVisibleToOthers() async throws {
    let phone = try await join()
    let other = try await join()
    try await other.wait(forParticipants: 2)
    let changes = other.events("viewInfo", "refresh")
    let states = phone.connectionStates
    phone.didEnterBackground()
    try await other.post("meanwhile")
    // The test is about this time: no event marks its end.
    try await Task.sleep(for: .seconds(2.1))
    phone.willEnterForeground()
    try await states.first("new connection") { $0.state == .reconnecting }
    try await states.first("line") { $0.state == .live }
    try await phone.wait(forLine: "meanwhile")
    other.leave()
    let seen = try await changes.all()
    XCTAssertEqual(seen, [])
  }

  func testInTheBackgroundAParticipantLeavesAfterTheTimeOfItsChoiceAndComesBack() async throws {
    let phone = try await join()
    let other = try await join()
    try await other.wait(forParticipants: 2)
    phone.didEnterBackground(leaveAfter: .milliseconds(300))
    // Long before the reflector would notice silence.
    try await other.wait(forParticipants: 1)
    phone.willEnterForeground()
    try await other.wait(forParticipants: 2)
  }

  func testAShortBackgroundKeepsTheConnection() async throws {
    let phone = try await join()
    let states = phone.connectionStates
    phone.didEnterBackground()
    phone.willEnterForeground()
    // Also without an absence.
    phone.willEnterForeground()
    try await phone.waitUntilApplied(phone.post("still here"))
    phone.leave()
    let seen = try await states.all()
    XCTAssertEqual(seen.map(\.state), [.live, .left])
  }

  func testTheSessionReportsALostReflectorAndFindsANewOneAtItsAddress() async throws {
    let built = Seen<[String]>()
    let session = try await join(options()) { session in
      built.add(try session.texts)
      try session.publish("input", "newPost", Chat.Post(text: "built"))
    }
    try await session.wait(forLine: "built")
    let (states, notices) = (session.connectionStates, session.notices)
    try await reflector.stop()
    let lost = try await states.first("loss") { $0.state == .reconnecting }
    XCTAssertEqual(lost.reason?.code, .goingAway)
    let unreached = try await states.first("attempt") { $0.reason?.code == .unreachable }
    XCTAssertEqual(unreached.state, .reconnecting)
    // A post from meanwhile waits.
    let receipt = try await session.post("meanwhile")
    let address = String(reflector.url.dropFirst("ws://".count))
    let again = try Reflector.start(listening: address)
    try await states.first("line") { $0.state == .live }
    try await session.waitUntilApplied(receipt)
    try await session.wait(forLine: "meanwhile")
    // A reflector in memory loses all sessions in a restart, so there is a new model, and a new view.
    try await notices.first("end of the view") { $0 == .viewLost }
    try await notices.first("view") { $0 == .viewReady }
    XCTAssertEqual(built.all, [[], []])
    try await session.ready()
    try await again.stop()
  }

  func testTheSessionReportsAnUnreachableReflectorAndTriesAgain() async throws {
    var options = try options()
    options.reflector = nowhere
    let session = try Session.start(options)
    let states = session.connectionStates
    for _ in 0..<2 {
      let state = try await states.first("attempt") { $0.reason != nil }
      XCTAssertEqual(state.reason?.code, .unreachable)
      XCTAssertEqual(state.state, .connecting)
    }
    await expect(.notJoined) { try session.publish("a", "b") }
    await expect(.notJoined) { try session.history }
    await expect(.notJoined) { try session.requestVote() }
  }

  func testAReflectorMayBeStoppedTwice() async throws {
    try await reflector.stop()
    try await reflector.stop()
  }
}
