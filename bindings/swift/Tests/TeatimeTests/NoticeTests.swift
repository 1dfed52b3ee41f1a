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
    let room = TeatimeFFI.Event.notPersisted(status: nil, message: "the room is full")
    XCTAssertEqual(Notice(room), .notPersisted(nil, message: "the room is full"))
  }

  func testANoticeOfUnconfirmedEventsHasTheirNumber() {
    let event = TeatimeFFI.Event.unconfirmed(count: 2, message: "check them")
    XCTAssertEqual(Notice(event), .unconfirmed(count: 2, message: "check them"))
  }

  func testANoticeOfAnAlarmHasItsKindAndParticipant() {
    let id = String(repeating: "01", count: 16)
    let event = TeatimeFFI.Event.alarm(
      kind: "FORKED", seq: 7, participant: id, message: "ask the others")
    XCTAssertEqual(
      Notice(event),
      .alarm(kind: "FORKED", seq: 7, participant: ViewID(id), message: "ask the others"))
  }

  func testANoticeOfADisagreementHasItsVote() {
    let event = TeatimeFFI.Event.disagreement(seq: 7, message: "a, b")
    XCTAssertEqual(Notice(event), .disagreement(seq: 7, message: "a, b"))
  }
}
