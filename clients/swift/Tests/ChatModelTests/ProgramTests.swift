#if os(Linux) || os(macOS)
  import Foundation
  import Teatime
  import XCTest

  /// Tests the program through its pipes.
  final class ProgramTests: XCTestCase {
    private var reflector: Reflector!
    private var programs: [Program] = []

    override func setUp() async throws {
      reflector = try Reflector.start(listening: "127.0.0.1:0")
    }

    override func tearDown() async throws {
      for program in programs { program.kill() }
      try await reflector.stop()
    }

    private func start(_ arguments: String...) throws -> Program {
      let program = try Program(arguments)
      programs.append(program)
      return program
    }

    /// Starts a chat in JSON, and waits until it has joined.
    private func chat(_ arguments: String...) async throws -> Program {
      let program = try Program(["--json", "--reflector", reflector.url] + arguments)
      programs.append(program)
      _ = try await program.wait(for: "view_info")
      return program
    }

    func testAcceptance3_43_ThreeProgramsChatAndVote() async throws {
      let all = [
        try await chat("--password", "p"), try await chat("--password", "p"),
        try await chat("--password", "p"),
      ]
      for program in all { try await program.wait(forParticipants: 3) }
      for (number, program) in all.enumerated() {
        try program.say(["do": "post", "text": "post \(number) 🫖"])
      }
      for program in all {
        for number in 0..<3 { try await program.wait(forLine: "post \(number) 🫖") }
      }
      try all[0].say(["do": "vote"])
      var states: Set<String> = []
      for program in all {
        let state = try await program.wait(for: "state")
        states.insert("\(state["seq"]!) \(state["time_us"]!) \(state["hash"]!)")
        let verdict = try await program.wait(for: "verdict")
        XCTAssertEqual(verdict["agreed"] as? Int, 3)
        XCTAssertEqual(verdict["hash"] as? String, state["hash"] as? String)
      }
      XCTAssertEqual(states.count, 1, "\(states)")
      try all[0].say(["do": "reset"])
      try await all[1].wait(forLine: "chat reset at user request</i>")
      try all[0].say(["do": "leave"])
      let code = try await all[0].exitCode()
      XCTAssertEqual(code, 0)
      XCTAssertEqual(all[0].seen.last?["state"] as? String, "left")
      try await all[1].wait(forParticipants: 2)
    }

    func testAcceptance2_TheLinkLeadsToTheSameSession() async throws {
      let host = try await chat("--name", "Tea /#1", "--password", "p w", "--inactivity", "99")
      let joined = try await host.wait(for: "joined")
      let guest = try start("--json", try XCTUnwrap(joined["link"] as? String))
      let there = try await guest.wait(for: "joined")
      for key in ["session_id", "badge", "link"] {
        XCTAssertEqual(there[key] as? String, joined[key] as? String)
      }
    }

    func testAcceptance12_AnAbsenceOfSecondsIsNotVisibleToOthers() async throws {
      let watcher = try await chat()
      let phone = try await chat()
      try await watcher.wait(forParticipants: 2)
      phone.signal(SIGSTOP)
      try watcher.say(["do": "post", "text": "meanwhile"])
      try await watcher.wait(forLine: "meanwhile")
      // The test is about this time: no event marks its end.
      try await Task.sleep(for: .seconds(3))
      phone.signal(SIGCONT)
      try await phone.wait(forLine: "meanwhile")
      try phone.say(["do": "post", "text": "back"])
      try await watcher.wait(forLine: "back")
      let infos = watcher.seen.filter { $0["event"] as? String == "view_info" }
      XCTAssertEqual(infos.map { $0["participants"] as? Int }, [1, 2])
    }

    func testAnotherPasswordGivesAHint() async throws {
      _ = try await chat("--password", "right")
      let intruder = try start("--json", "--reflector", reflector.url, "--password", "wrong")
      let hint = try await intruder.wait(for: "hint")
      XCTAssertEqual(hint["code"] as? String, "OTHER_PASSWORD")
    }

    func testAnInvalidCommandLineEndsTheProgram() async throws {
      for wrong in [
        ["--nothing"], ["--name"], ["no link"], ["--name", ""], ["--reflector", "http://x"],
      ] {
        let program = try Program(wrong)
        programs.append(program)
        let code = try await program.exitCode()
        XCTAssertEqual(code, 2, "\(wrong)")
      }
    }

    func testABadLineGivesAnErrorAndTheProgramGoesOn() async throws {
      let program = try await chat()
      for bad in [
        "nonsense", "{}", "{\"do\":\"dance\"}", "[1]", "{\"do\":\"post\"}", "", "\u{7}",
        "{\"do\":\"post\",\"text\":1}", "{\"do\":\"leave\",\"x\":\"y\"}",
        String(repeating: "[", count: 100_000),
      ] {
        let count = program.seen.count
        try program.say(raw: bad)
        let error = try await program.wait(for: "error", after: count)
        XCTAssertEqual(error["code"] as? String, "BAD_COMMAND", bad)
      }
      try program.say(["do": "post", "text": String(repeating: "x", count: 1 << 20)])
      _ = try await program.wait("TOO_LARGE") { $0["code"] as? String == "TOO_LARGE" }
      try program.say(["do": "post", "text": "still here"])
      try await program.wait(forLine: "still here")
    }

    func testEverythingPostedBeforeTheEndOfInputArrives() async throws {
      let watcher = try await chat()
      let plain = try start("--plain", "--reflector", reflector.url)
      for number in 0..<90 { try plain.say(raw: "line \(number)") }
      plain.endInput()
      let code = try await plain.exitCode()
      XCTAssertEqual(code, 0)
      XCTAssertTrue(plain.text.last?.hasSuffix(": line 89") == true, "\(plain.text.suffix(3))")
      try await watcher.wait(forLine: "line 89")
      let lines = try await watcher.lines().filter { $0.html.contains("line ") }
      XCTAssertEqual(lines.count, 90)
    }

    func testASignalLeaves() async throws {
      let watcher = try await chat()
      for number in [SIGINT, SIGTERM] {
        let count = watcher.seen.count
        let program = try await chat()
        program.signal(number)
        let code = try await program.exitCode()
        XCTAssertEqual(code, 0)
        XCTAssertEqual(program.seen.last?["state"] as? String, "left")
        try await watcher.wait(forParticipants: 1, after: count)
      }
    }

    func testWithoutAReflectorTheProgramReportsItOnceAndASignalEndsIt() async throws {
      let program = try start("--json", "--reflector", "127.0.0.1:1")
      let error = try await program.wait(for: "error")
      XCTAssertEqual(error["code"] as? String, "UNREACHABLE")
      program.signal(SIGINT)
      let code = try await program.exitCode()
      XCTAssertEqual(code, 0)
      XCTAssertEqual(program.seen.count, 2)
    }

    func testTheProgramReconnectsToARestartedReflector() async throws {
      let address = String(reflector.url.dropFirst("ws://".count))
      let program = try await chat()
      try await reflector.stop()
      _ = try await program.wait("loss") { $0["state"] as? String == "reconnecting" }
      let count = program.seen.count
      let again = try Reflector.start(listening: address)
      _ = try await program.wait(for: "joined", after: count)
      try program.say(["do": "post", "text": "back"])
      try await program.wait(forLine: "back")
      let states = program.seen.filter { $0["event"] as? String == "connection" }
      XCTAssertEqual(states.map { $0["state"] as? String }, ["reconnecting", "live"])
      try await again.stop()
    }
  }
#endif
