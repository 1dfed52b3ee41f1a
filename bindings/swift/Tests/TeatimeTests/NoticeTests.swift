import TeatimeFFI
import XCTest

@testable import Teatime

final class NoticeTests: XCTestCase {
  func testADivergenceIsToldWithItsEvidenceOrWhyThereIsNone() {
    for (evidence, why) in [("/tmp/evidence", String?.none), (nil, "the disk is full")] {
      let told = TeatimeFFI.Event.diverged(
        seq: 7, timeUs: 1_500_000, hash: "ab", evidence: evidence, why: why)
      let wanted = Notice.diverged(
        seq: 7, time: .milliseconds(1500), hash: "ab", evidence: evidence, message: why)
      XCTAssertEqual(Notice(told), wanted)
    }
  }

  func testWhatIsNotPersistedIsToldWithItsCauseIfThatMayPass() {
    let full = TeatimeFFI.Event.notPersisted(status: .notStored, why: "the disk is full")
    XCTAssertEqual(Notice(full), .notPersisted(.notStored, message: "the disk is full"))
    let newer = TeatimeFFI.Event.notPersisted(status: nil, why: "newer")
    XCTAssertEqual(Notice(newer), .notPersisted(nil, message: "newer"))
  }
}
