import Foundation
import Teatime
import XCTest

final class LinkTests: XCTestCase {
  private let link = JoinLink(
    reflector: "ws://h:1", app: "a", name: "Tea /", options: #"{"x":1,"b":[2]}"#, password: "p w")

  func testALinkIsMadeAndParsed() throws {
    let text = try link.text
    XCTAssertTrue(text.hasPrefix("teatime://h:1/-"), text)
    XCTAssertEqual(try JoinLink(parsing: text), link)
    XCTAssertEqual(try JoinLink(parsing: "<\(text.replacingOccurrences(of: "#", with: "%23"))>."), link)
  }

  func testALinkCarriesAllOptionsOfTheApp() throws {
    let chat = Chat.Options(inactivitySeconds: 60, announce: true)
    let options = JoinOptions(app: try .chat, reflector: "ws://h:1", name: "a", options: chat)
    let link = try options.link
    XCTAssertEqual(link.options, #"{"inactivity_seconds":60,"announce":true}"#)
    XCTAssertEqual(try JoinOptions(app: .chat, link: link).link, link)
    let usual = JoinOptions(app: try .chat, reflector: "ws://h:1", name: "a", options: Chat.Options())
    XCTAssertNil(try usual.link.options)
    let usualLink = try usual.link
    XCTAssertEqual(try JoinOptions(app: .chat, link: usualLink).link, usualLink)
  }

  func testInvalidLinksAreRefused() async throws {
    let whole = try link.text
    let cut = whole.prefix { $0 != "#" }
    await expect(.badLink) { try JoinLink(parsing: String(cut)) }
    let strange = JoinLink(reflector: "ws://h:1", app: "teatime.chat", name: "a", options: #"{"x":1}"#)
    await expect(.badOptions) { try JoinOptions(app: .chat, link: strange) }
    for text in ["", "x", "teatime://", "http://h/a/b", "teatime://h:1/a", "\0", "🫖"] {
      await expect(.badLink) { try JoinLink(parsing: text) }
    }
    var nowhere = link
    nowhere.reflector = "x y"
    await expect(.badAddress) { try nowhere.text }
    var nameless = link
    nameless.app = "teatime.chat"
    nameless.options = nil
    nameless.name = ""
    await expect(.badName) { try JoinOptions(app: .chat, link: nameless) }
  }

  func testAcceptance2_TheQRCodeIsThatOfTheLink() async throws {
    let code = try QRCode(link.text)
    // At three corners a dark frame of seven.
    XCTAssertEqual((code.side - 17) % 4, 0)
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
