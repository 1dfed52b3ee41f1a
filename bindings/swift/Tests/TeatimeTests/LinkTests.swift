import Teatime
import XCTest

final class LinkTests: XCTestCase {
  private let link = JoinLink(
    reflector: "ws://h:1", app: "a", name: "Tea /", options: ["x": "1", "b": "2"], password: "p w")

  func testALinkIsMadeAndParsed() throws {
    let text = "teatime://h:1/a/Tea%20%2F?b=2&x=1#p%20w"
    XCTAssertEqual(try link.text, text)
    XCTAssertEqual(try JoinLink(parsing: text), link)
  }

  func testInvalidLinksAreRefused() async throws {
    for text in ["", "x", "teatime://", "http://h/a/b", "teatime://h:1/a", "\0", "🫖"] {
      await expect(.badLink) { try JoinLink(parsing: text) }
    }
    var nowhere = link
    nowhere.reflector = "x y"
    await expect(.badAddress) { try nowhere.text }
    var nameless = link
    nameless.name = ""
    await expect(.badLink) { try nameless.text }
  }

  func testAcceptance2_TheQRCodeIsThatOfTheLink() async throws {
    let code = try QRCode(link.text)
    // Version 3: 29 modules a side, and at three corners a dark frame of seven.
    XCTAssertEqual(code.side, 29)
    for corner in [(0, 0), (0, code.side - 7), (code.side - 7, 0)] {
      for step in 0..<7 {
        XCTAssertTrue(code[row: corner.0 + step, column: corner.1])
        XCTAssertTrue(code[row: corner.0, column: corner.1 + step])
      }
      XCTAssertFalse(code[row: corner.0 + 1, column: corner.1 + 1])
    }
    XCTAssertFalse(code[row: -1, column: 0])
    XCTAssertFalse(code[row: 0, column: code.side])
    XCTAssertNotEqual(code, try QRCode(link.text + "x"))
    await expect(.tooLong) { try QRCode(String(repeating: "x", count: 2_954)) }
  }

  func testAViewIDIsThirtyTwoDigits() {
    XCTAssertNotNil(ViewID("0123456789abcdef0123456789abcdef"))
    for text in ["", "0123", "0123456789ABCDEF0123456789abcdef", String(repeating: "g", count: 32)]
    {
      XCTAssertNil(ViewID(text))
    }
    XCTAssertThrowsError(try JSONDecoder().decode(ViewID.self, from: Data("\"x\"".utf8)))
  }

  func testTheLibraryHasAVersion() throws {
    XCTAssertEqual(try Library.version.split(separator: ".").count, 3)
    XCTAssertEqual(try App.chat.id, "teatime.chat")
    XCTAssertEqual(try Chat.plainText(ofHTML: "<b>a:</b> x &lt; y"), "a: x < y")
  }
}
