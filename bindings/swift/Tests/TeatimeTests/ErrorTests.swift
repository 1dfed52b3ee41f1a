import TeatimeFFI
import XCTest

@testable import Teatime

final class ErrorTests: XCTestCase {
  func testTheTableHasEveryCodeOfTheLibraryWithItsNumber() {
    for number in Int32(-1)...2_000 {
      let (theirs, ours) = (TeaStatus(rawValue: number), TeatimeError.Code(rawValue: number))
      XCTAssertEqual(theirs?.rawValue, ours?.rawValue, "\(number)")
      if let theirs { XCTAssertEqual(TeatimeError.Code(theirs), ours) }
    }
    XCTAssertGreaterThan(TeatimeError.Code.allCases.count, 50)
  }

  func testNamesAreThoseOfTheCasesInCapitals() {
    for code in TeatimeError.Code.allCases {
      let words = "\(code)".reduce(into: "") { name, letter in
        name += letter.isUppercase ? "_\(letter)" : letter.uppercased()
      }
      XCTAssertEqual(code.name, words)
      XCTAssertEqual(code.number, Int(code.rawValue))
    }
  }

  func testErrorsOfTheLibraryBecomeCodesOfTheTable() {
    struct Unknown: Error {}
    let thrown = CallError.Failed(status: .badSnapshot, name: "BAD_SNAPSHOT", why: "no")
    XCTAssertEqual(TeatimeError(thrown), TeatimeError(.badSnapshot, "no"))
    XCTAssertEqual(TeatimeError(TeatimeError(.io, "x")), TeatimeError(.io, "x"))
    XCTAssertEqual(TeatimeError(Unknown()).code, .panic)
    XCTAssertEqual(TeatimeError(.badSnapshot, "no").localizedDescription, "no")
    XCTAssertEqual("\(TeatimeError(.badSnapshot, "no"))", "BAD_SNAPSHOT: no")
  }
}
