import TeatimeFFI
import XCTest

@testable import Teatime

final class NoticeTests: XCTestCase {
  func testANoticeOfADivergenceHasTheEvidenceOrTheError() {
    for (evidence, message) in [("/tmp/evidence", String?.none), (nil, "the disk is full")] {
      let event = TeatimeFFI.Event.diverged(
        seq: 7, timeUs: 1_500_000, hash: "ab", evidence: evidence, message: message)
      let wanted = Notice.diverged(
        seq: 7, time: .milliseconds(1500), hash: "ab", evidence: evidence, message: message)
      XCTAssertEqual(Notice(event), wanted)
    }
  }

  func testANoticeOfUnstoredPersistedDataHasACodeIfTheCauseMayPass() {
    let full = TeatimeFFI.Event.notPersisted(status: .notStored, message: "the disk is full")
    XCTAssertEqual(Notice(full), .notPersisted(.notStored, message: "the disk is full"))
    let newer = TeatimeFFI.Event.notPersisted(status: nil, message: "newer")
    XCTAssertEqual(Notice(newer), .notPersisted(nil, message: "newer"))
  }
}
