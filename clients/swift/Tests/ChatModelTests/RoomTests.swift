import ChatModel
import Teatime
import XCTest

@testable import teatime_chat

final class RoomTests: XCTestCase {
  private let room = Room(
    reflector: "ws://h:1", name: "Tea & cake/#1", password: "p w#ü", inactivitySeconds: 99,
    announces: true)

  private func room(_ arguments: String...) throws -> Room {
    try Flags(arguments).room { "ws://here" }
  }

  func testAcceptance2_ALinkLeadsToItsRoom() throws {
    XCTAssertEqual(try Room(link: room.link), room)
    XCTAssertLessThan(try Room(reflector: "ws://h:1").link.utf8.count, 50)
    for wrong in [
      "ws://h:1/x", "teatime://h:1/teatime.chat/a",
      try JoinLink(reflector: "ws://h:1", app: "other", name: "a").text,
    ] {
      XCTAssertThrowsError(try Room(link: wrong)) { error in
        XCTAssertEqual((error as? TeatimeError)?.code, .badLink)
      }
    }
  }

  func testFlagsOverrideTheLink() throws {
    XCTAssertEqual(try room(), Room(reflector: "ws://here"))
    XCTAssertEqual(try room(try room.link), room)
    XCTAssertTrue(try room("--announce").announces)
    var other = room
    other.name = "a"
    other.password = "b"
    other.inactivitySeconds = 0
    other.reflector = "ws://there"
    let flags = ["--name", "a", "--password=b", "--inactivity", "0", "--reflector=ws://there"]
    XCTAssertEqual(try Flags(flags + [try room.link]).room { "" }, other)
  }

  func testInvalidFlagsAreRefused() throws {
    for wrong in [
      ["--nothing"], ["-x"], ["--name"], ["a", "b"], ["--plain", "--json"], ["--json=1"],
    ] {
      XCTAssertThrowsError(try Flags(wrong), "\(wrong)") { XCTAssert($0 is Flags.Misuse, "\($0)") }
    }
    for wrong in ["", "-1", "+1", "1.5", "4294967296", "x"] {
      XCTAssertThrowsError(try room("--inactivity", wrong), wrong)
    }
    XCTAssertThrowsError(try room("--ca", "/nowhere"))
    XCTAssertTrue(try Flags(["--help"]).wantsHelp)
    XCTAssertEqual(try Flags(["--json"]).form, .json)
    XCTAssertEqual(try Flags([]).form, .plain)
  }
}
