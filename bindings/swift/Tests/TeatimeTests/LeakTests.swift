#if os(Linux)
  import Foundation
  import Teatime
  import XCTest

  final class LeakTests: SessionTestCase {
    /// A number in /proc/self/status: a count, or KiB.
    private func status(_ field: String) throws -> Int {
      let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
      let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
      let words = try XCTUnwrap(line).split { $0 == " " || $0 == "\t" }
      return try XCTUnwrap(Int(words[1]))
    }

    /// Joins and leaves fifty times. Concurrently, because a join takes 200 ms; in a room of their own, because the
    /// model of a room remembers all posts.
    private func joinAndLeave(_ room: Int) async throws {
      let options = try options("\(room)")
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<50 {
          group.addTask {
            let session = try await inTime("join") { try await Session.join(options) }
            let events = session.events("history", "refresh")
            try session.publish("input", "newPost", Chat.Post(text: "\(number)"))
            // Half of the sessions are only dropped.
            if number.isMultiple(of: 2) { session.leave() }
            _ = events
          }
        }
        try await group.waitForAll()
      }
    }

    private func waitForThreads(_ most: Int) async throws {
      let deadline = ContinuousClock.now + patience
      while try status("Threads") > most {
        if ContinuousClock.now > deadline {
          return XCTFail("\(try status("Threads")) threads, at most \(most) expected")
        }
        try await Task.sleep(for: .milliseconds(10))
      }
    }

    func testAThousandJoinsAndLeavesLeaveNothingBehind() async throws {
      // The threads of the reflector, and those of Dispatch and tasks, which depend on the number of cores.
      let threads = 24 + 4 * ProcessInfo.processInfo.activeProcessorCount
      for room in 0..<4 { try await joinAndLeave(room) }
      try await waitForThreads(threads)
      let memory = try status("VmRSS")
      for room in 4..<24 { try await joinAndLeave(room) }
      try await waitForThreads(threads)
      let grown = try status("VmRSS") - memory
      print("after 1,000 joins and leaves: \(try status("Threads")) threads, \(grown) KiB more")
      XCTAssertLessThan(grown, 10_000)
    }
  }
#endif
