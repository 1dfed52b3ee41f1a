import Teatime
import XCTest

final class ModelTests: SessionTestCase {
  func testAcceptance16_EveryoneSeesTheSameNicknames() async throws {
    let all = [try await join(), try await join(), try await join()]
    try await all[0].wait(forParticipants: 3)
    for one in all {
      try await one.wait(forParticipants: 3)
      for other in all {
        let nickname = try XCTUnwrap(try one.nickname(of: other.viewID))
        XCTAssertNotEqual(nickname, "")
        XCTAssertEqual(nickname, try all[0].nickname(of: other.viewID))
      }
    }
    let stranger = try XCTUnwrap(ViewID(String(repeating: "0", count: 32)))
    XCTAssertNil(try all[0].nickname(of: stranger))
  }

  func testTheViewReadsTheRootModelAndLearnsWhichModelsAreNotThere() async throws {
    let session = try await join()
    XCTAssertEqual(try session.wellKnown("modelRoot"), .root)
    XCTAssertNil(try session.wellKnown("unknown"))
    XCTAssertEqual(try session.read("participants", of: .root, as: Int.self), 1)
    await expect(.unknownModel) {
      try session.read("participants", of: ModelID(rawValue: 99), as: Int.self)
    }
  }

  func testAcceptance38_ReadingNeverChangesTheState() async throws {
    let hashes = Seen<String>()
    let session = try await join(options()) { session in
      // The model stands still in here, so only reading could change it.
      hashes.add(try session.stateHash)
      for _ in 0..<100 {
        _ = try session.history
        _ = try session.participants
        _ = try session.nickname(of: session.viewID)
        _ = try? session.read("nothing", as: Int.self)
        _ = try session.random()
        _ = try (session.views, session.now, session.statistics, session.wellKnown("modelRoot"))
      }
      hashes.add(try session.stateHash)
    }
    XCTAssertEqual(hashes.all.count, 2)
    XCTAssertEqual(hashes.all[0], hashes.all[1])
    // A change does change the hash.
    try await session.waitUntilApplied(session.post("a change"))
    XCTAssertNotEqual(try session.stateHash, hashes.all[0])
  }

  func testAcceptance40_AViewCannotActAsAModel() async throws {
    let session = try await join()
    let other = try await join()
    try await other.wait(forParticipants: 2)
    // Only the session itself can announce joins and exits to the root model.
    let stranger = String(repeating: "0", count: 32)
    for event in ["view-join", "view-exit", "user-enter", "user-exit"] {
      for scope in [session.id, "session", "_session"] {
        try await session.waitUntilApplied(session.publish(scope, event, stranger))
        try await session.waitUntilApplied(session.publish(scope, event, other.viewID))
      }
    }
    XCTAssertEqual(try session.participants, 2)
    XCTAssertEqual(try session.views, [session.viewID, other.viewID])
    // A handler is not a query, so a view cannot call it.
    for handler in ["new_post", "reset", "newPost", "init", "view_exit"] {
      await expect(.unknownQuery) { try session.read(handler, as: Int.self) }
    }
  }

  func testInvalidQueriesAreThrown() async throws {
    let session = try await join()
    await expect(.unknownQuery) { try session.read("", as: Int.self) }
    await expect(.queryArgument) { try session.read("nickname", 7, as: String?.self) }
    await expect(.queryArgument) { try session.read("nickname", as: String?.self) }
    await expect(.encoding) { try session.read("nickname", Double.nan, as: String?.self) }
    await expect(.wrongType) { try session.read("participants", as: String.self) }
    await expect(.wrongType) { try session.read("history", as: Int.self) }
  }

  func testAcceptance43_VeteranLateJoinerAndRejoinedHaveOneHash() async throws {
    var all = [try await join(password: "sesame")]
    for number in 0..<50 { try await all[0].post("post \(number)") }
    try await all[0].wait(forLine: "post 49")
    all += [try await join(password: "sesame"), try await join(password: "sesame")]
    for one in all { try await one.wait(forParticipants: 3) }
    let states = all[2].connectionStates
    all[2].reconnect()
    try await states.first("loss") { $0.state == .reconnecting }
    try await states.first("line") { $0.state == .live }
    let notices = all.map(\.notices)
    try all[1].requestVote()
    var votes: Set<Notice> = []
    for notices in notices {
      let state = try await notices.first("state") { if case .state = $0 { true } else { false } }
      votes.insert(state)
      let verdict = try await notices.first("verdict") {
        if case .verdict = $0 { true } else { false }
      }
      guard case .state(let seq, _, let hash) = state else { return XCTFail("\(state)") }
      XCTAssertEqual(hash.count, 64)
      XCTAssertEqual(verdict, .verdict(seq: seq, hash: hash, agreed: 3, of: 3))
    }
    XCTAssertEqual(votes.count, 1, "\(votes)")
  }

  func testSessionTimeGoesOn() async throws {
    let session = try await join()
    let before = try session.now
    try await session.waitUntilApplied(session.post("later"))
    XCTAssertGreaterThan(try session.now, before)
    XCTAssertGreaterThanOrEqual(try session.externalNow, try session.now - .seconds(1))
    XCTAssertGreaterThanOrEqual(try session.extrapolatedNow, before)
    let statistics = try session.statistics
    XCTAssertGreaterThan(statistics.seq, 0)
    XCTAssertEqual(statistics.models, 1)
    XCTAssertEqual(statistics.reconnecting, .zero)
  }
}
