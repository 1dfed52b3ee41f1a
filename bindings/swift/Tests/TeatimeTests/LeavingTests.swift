import XCTest

@testable import Teatime

final class LeavingTests: SessionTestCase {
  func testLeavingTwiceIsLeavingOnceAndEndsAllSequences() async throws {
    let stays = try await join()
    let session = try await join()
    let streams = (
      session.connectionStates, session.progress, session.notices, session.events("a", "b")
    )
    session.leave()
    session.leave()
    XCTAssertEqual(session.connection.state, .left)
    let states = try await streams.0.all()
    XCTAssertEqual(states.map(\.state), [.live, .left])
    _ = try await streams.1.all()
    _ = try await streams.2.all()
    _ = try await streams.3.all()
    try await inTime("farewell") { await session.left() }
    try await stays.wait(forParticipants: 1)
  }

  func testAfterLeavingEveryCallFails() async throws {
    let session = try await join()
    let receipt = try session.publish("input", "reset", "x")
    session.leave()
    let later = try await session.events("a", "b").all()
    XCTAssertEqual(later, [])
    let states = try await session.connectionStates.all()
    XCTAssertEqual(states.map(\.state), [.left])
    await expect(.over) { try session.publish("a", "b") }
    await expect(.over) { try session.requestVote() }
    await expect(.over) { try await session.ready() }
    await expect(.over) { try await session.applied(receipt) }
    await expect(.over) { try session.history }
    await expect(.over) { try session.views }
    await expect(.over) { try session.now }
    session.reconnect()
    session.willEnterForeground()
    XCTAssertEqual(session.connection.state, .left)
  }

  func testDroppingASessionLeavesIt() async throws {
    let stays = try await join()
    weak var dropped: Session?
    let events: AsyncStream<Event>
    do {
      let session = try await join()
      dropped = session
      events = session.events("history", "refresh")
      try await stays.wait(forParticipants: 2)
    }
    try await stays.wait(forParticipants: 1)
    _ = try await events.all()
    XCTAssertNil(dropped)
  }

  func testAcceptance5_ALeaveIsSeenOnce() async throws {
    let stays = try await join()
    let leaves = try await join()
    try await stays.wait(forParticipants: 2)
    let changes = stays.events("viewInfo", "refresh")
    leaves.leave()
    try await stays.wait(forParticipants: 1)
    try await stays.waitUntilApplied(stays.post("after"))
    stays.leave()
    let seen = try await changes.all()
    XCTAssertEqual(seen.count, 1)
  }

  func testACancelledJoinLeaves() async throws {
    let stays = try await join()
    let options = try options()
    let reached = AsyncStream.makeStream(of: Void.self)
    let goOn = DispatchSemaphore(value: 0)
    let joining = Task {
      try await Session.join(options) { _ in
        reached.continuation.yield()
        goOn.wait()
      }
    }
    try await reached.stream.first("view")
    try await stays.wait(forParticipants: 2)
    joining.cancel()
    goOn.signal()
    let error = await failure { try await inTime("end of the join") { try await joining.value } }
    XCTAssert(error is CancellationError, "\(String(describing: error))")
    try await stays.wait(forParticipants: 1)
  }

  func testACancelledTaskDoesNotStartToJoin() async throws {
    var options = try options()
    options.reflector = nowhere
    let unreached = options
    let joining = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await Session.join(unreached)
    }
    let error = await failure { try await inTime("end of the join") { try await joining.value } }
    XCTAssert(error is CancellationError, "\(String(describing: error))")
  }

  func testACancelledWaitEndsAndTheSessionGoesOn() async throws {
    let started = AsyncStream.makeStream(of: Session.self)
    var options = try options()
    options.reflector = nowhere
    let session = try Session.start(options)
    let waiting = Task {
      started.continuation.yield(session)
      try await session.ready()
    }
    try await started.stream.first("start")
    waiting.cancel()
    let error = await failure { try await inTime("end of the wait") { try await waiting.value } }
    XCTAssert(error is CancellationError, "\(String(describing: error))")
    // Only the wait has ended, and its waiter is forgotten.
    XCTAssertFalse(session.connection.state.isOver)
    XCTAssertEqual(session.state.with { $0.waiters.count }, 0)
  }

  func testLeavingEndsAllWaits() async throws {
    let session = try await join()
    try await reflector.stop()
    try await session.connectionStates.first("loss") { $0.state == .reconnecting }
    let receipt = try session.publish("input", "newPost", Chat.Post(text: "never"))
    let waiting = Task { try await session.applied(receipt) }
    session.leave()
    await expect(.over) { try await inTime("end of the wait") { try await waiting.value } }
  }

  func testASequenceThatIsDroppedEndsItsSubscription() async throws {
    let session = try await join()
    let count = { session.state.with { $0.subscriptions.count } }
    do {
      let events = session.events("a", "b")
      XCTAssertEqual(count(), 1)
      _ = events
    }
    XCTAssertEqual(count(), 0)
    try session.publishToViews("a", "b", 1)
    let kept = session.events("a", "b")
    let consumer = Task { for await _ in kept {} }
    consumer.cancel()
    try await inTime("end of the loop") { await consumer.value }
    XCTAssertEqual(count(), 0)
  }
}
