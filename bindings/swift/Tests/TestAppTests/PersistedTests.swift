import Teatime
import XCTest

@_silgen_name("tea_test_board_1") private func board1() -> UnsafeMutableRawPointer
@_silgen_name("tea_test_board_2") private func board2() -> UnsafeMutableRawPointer
@_silgen_name("tea_test_board_3") private func board3() -> UnsafeMutableRawPointer
@_silgen_name("tea_test_board_3_mended") private func board3Mended() -> UnsafeMutableRawPointer

/// Tests three versions of an app. Each begins with the persisted data of the version before.
final class PersistedTests: XCTestCase {
  private struct Board: Decodable, Equatable {
    var title: String
    var stars: Int
  }

  private var reflector: Reflector!

  override func setUp() async throws {
    reflector = try Reflector.start(listening: "127.0.0.1:0")
  }

  override func tearDown() async throws {
    try await reflector.stop()
  }

  private func start(
    _ board: () -> UnsafeMutableRawPointer, _ room: String, _ password: String?
  ) throws -> Session {
    let app = try App(exportedBy: board())
    return try Session.start(
      JoinOptions(app: app, reflector: reflector.url, name: room, password: password))
  }

  private func inTime<Answer: Sendable>(
    _ what: String, _ run: @escaping @Sendable () async throws -> Answer
  ) async throws -> Answer {
    try await withThrowingTaskGroup(of: Answer?.self) { group in
      group.addTask(operation: run)
      group.addTask {
        try await Task.sleep(for: .seconds(120))
        return nil
      }
      defer { group.cancelAll() }
      let first = try await group.next()
      return try XCTUnwrap(first ?? nil, "no \(what)")
    }
  }

  private func join(
    _ board: () -> UnsafeMutableRawPointer, _ room: String, _ password: String? = nil
  ) async throws -> Session {
    let session = try start(board, room, password)
    try await inTime("view") { try await session.ready() }
    return session
  }

  private func rename(_ session: Session, _ title: String) async throws {
    let notices = session.notices
    try session.publish("board", "rename", title)
    _ = try await inTime("storage") {
      await notices.first { if case .persisted = $0 { true } else { false } }
    }
  }

  func testANewVersionBeginsWithThePersistedDataOfTheOldOne() async throws {
    for (room, password) in [("open", nil), ("closed", "secret")] {
      let first = try await join(board1, room, password)
      XCTAssertEqual(try first.read("board"), Board(title: "new", stars: 0))
      try await rename(first, "tea")
      let notices = first.notices
      let second = try await join(board2, room, password)
      XCTAssertEqual(try second.read("board"), Board(title: "tea", stars: 40))
      let notice = try await inTime("notice") {
        await notices.first { if case .newerVersion = $0 { true } else { false } }
      }
      guard case .newerVersion(2, let message) = notice else {
        return XCTFail("\(notice as Any)")
      }
      XCTAssertTrue(message.contains("version"), message)
      try await rename(second, "coffee")
      XCTAssertEqual(try first.read("board"), Board(title: "tea", stars: 1))
      let third = try await join(board3, room, password)
      XCTAssertEqual(try third.read("board"), Board(title: "coffee", stars: 42))
    }
  }

  func testPersistedDataIsStoredBesideThatOfNewerVersions() async throws {
    let first = try await join(board1, "three")
    try await rename(first, "tea")
    XCTAssertFalse(try first.hasUnpersisted)
    XCTAssertNil(try first.newerVersion)
    for board in [board2, board3] {
      let newer = try await join(board, "three")
      try await rename(newer, "newer")
      newer.leave()
    }
    try await rename(first, "late")
    XCTAssertFalse(try first.hasUnpersisted)
    XCTAssertEqual(try first.newerVersion, 3)
    first.leave()
    XCTAssertThrowsError(try first.hasUnpersisted)
    XCTAssertThrowsError(try first.newerVersion)
  }

  func testEveryCallOfAFailedSessionHasTheReason() async throws {
    let second = try await join(board2, "cursed")
    try await rename(second, "cursed")
    let session = try start(board3, "cursed", nil)
    var states: [Connection] = []
    for try await state in session.connectionStates { states.append(state) }
    XCTAssertEqual(states.last?.state, .failed)
    XCTAssertEqual(states.last?.reason?.code, .migration)
    XCTAssertEqual(session.connection, states.last)
    do {
      try await session.ready()
      XCTFail("it is ready")
    } catch let error as TeatimeError {
      XCTAssertEqual(error.code, .migration)
    }
    XCTAssertThrowsError(try session.publish("board", "rename", "x"))
    XCTAssertEqual(second.connection.state, .live)
  }

  func testAFailedMigrationIsThrownAndLosesNothing() async throws {
    let second = try await join(board2, "cursed")
    try await rename(second, "cursed")
    do {
      _ = try await join(board3, "cursed")
      XCTFail("the migration did not fail")
    } catch let error as TeatimeError {
      XCTAssertEqual(error.code, .migration)
      XCTAssertTrue(error.message.contains("from version 2 to version 3"), error.message)
    }
    XCTAssertEqual(try second.read("board"), Board(title: "cursed", stars: 2))
    // The version without the bug begins with the persisted data.
    let third = try await join(board3Mended, "cursed")
    XCTAssertEqual(try third.read("board"), Board(title: "cursed", stars: 2))
  }
}
