#if os(Linux)
  import Foundation
  import XCTest

  /// Tests what the compiler refuses, with the package as it was built for these tests.
  final class CompilerTests: XCTestCase {
    /// The compiler's output for the body of a function with a session; nil if it compiles.
    private func complaint(about body: String) throws -> String? {
      let built = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      let header = URL(fileURLWithPath: #filePath + "/../../../Sources/TeatimeFFIFFI").standardized
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "teatime-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let source = folder.appendingPathComponent("view.swift")
      try """
      import Teatime
      @MainActor func view(_ session: Session) async throws {
      \(body)
      }
      """.write(to: source, atomically: true, encoding: .utf8)
      let compiler = Process()
      let output = Pipe()
      compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      compiler.arguments = [
        "swiftc", "-typecheck", "-swift-version", "6", "-I", "\(built.path)/Modules",
        "-I", header.path, source.path,
      ]
      compiler.standardOutput = output
      compiler.standardError = output
      try compiler.run()
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      compiler.waitUntilExit()
      return compiler.terminationStatus == 0 ? nil : text
    }

    func testAcceptance39_AViewCannotWrite() throws {
      let reads = """
        let lines = try session.read("history", as: [Chat.Line].self)
        let now = try session.now
        print(lines, now, try session.views, session.viewID)
        """
      XCTAssertNil(try complaint(about: reads))
      let writes = [
        ("session.viewID = session.viewID", "is a 'let' constant"),
        ("try session.views = []", "is a get-only property"),
        ("try session.now = .zero", "is a get-only property"),
        (
          "try session.read(\"history\", as: [Chat.Line].self)[0].html = \"\"",
          "is a 'let' constant"
        ),
        ("session.connection.state = .live", "is a 'let' constant"),
        ("session.model.clear()", "has no member 'model'"),
        ("session.ffi.step(budgetUs: 1)", "is inaccessible"),
      ]
      for (write, why) in writes {
        let output = try XCTUnwrap(try complaint(about: write), "it compiles: \(write)")
        XCTAssertTrue(output.contains(why), output)
      }
    }

    func testAcceptance40_AViewDoesNotHaveTheFunctionsOfModels() throws {
      for call in [
        "future(.seconds(1))", "create(\"Chat\")", "subscribe(\"a\", \"b\")", "destroy()",
      ] {
        let output = try XCTUnwrap(try complaint(about: "session.\(call)"), "it compiles: \(call)")
        XCTAssertTrue(output.contains("has no member"), output)
      }
    }

    func testGeneratedTypesAreNotVisible() throws {
      let output = try XCTUnwrap(try complaint(about: "let _: CallError? = nil"))
      XCTAssertTrue(output.contains("cannot find type 'CallError'"), output)
    }
  }
#endif
