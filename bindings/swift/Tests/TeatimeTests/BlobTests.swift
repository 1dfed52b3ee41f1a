import Foundation
import XCTest

@testable import Teatime

final class BlobTests: SessionTestCase {
  private static let large = 5_000_000
  private var folder: URL!

  override func setUp() async throws {
    try await super.setUp()
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  override func tearDown() async throws {
    try await super.tearDown()
    try FileManager.default.removeItem(at: folder)
  }

  /// Bytes in which no two pieces are equal.
  private func content(_ count: Int = large) -> Data {
    var random: UInt32 = 1
    return Data(
      (0..<count).map { _ in
        random = random &* 1_664_525 &+ 1_013_904_223
        return UInt8(random >> 24)
      })
  }

  func testFiveMegabytesComeBackAndProgressGrows() async throws {
    let content = content()
    for (room, password) in [("open", nil), ("closed", "secret")] {
      let (mine, theirs) = try await (join(room, password: password), join(room, password: password))
      let (up, down) = (Seen<TransferProgress>(), Seen<TransferProgress>())
      let blob = try await inTime("store") {
        try await mine.store(bytes: content) { up.add($0) }
      }
      XCTAssertEqual(blob.size, Self.large)
      XCTAssertTrue(try theirs.owns(blob))
      let fetched = try await inTime("fetch") {
        try await theirs.fetch(blob) { down.add($0) }
      }
      XCTAssertEqual(fetched, content)
      for steps in [up.all, down.all] {
        XCTAssertEqual(steps.map(\.done), steps.map(\.done).sorted())
        XCTAssertEqual(steps.last, TransferProgress(done: Self.large, total: Self.large))
        XCTAssertEqual(steps.last?.fraction, 1)
      }
      let again = try await theirs.store(bytes: content)
      XCTAssertEqual(again, blob)
      let nothing = try await mine.fetch(mine.store(bytes: Data()))
      XCTAssertEqual(nothing, Data())
    }
  }

  func testFilesAreStoredAndFetched() async throws {
    let session = try await join()
    let (from, to) = (folder.appendingPathComponent("from"), folder.appendingPathComponent("to"))
    try content().write(to: from)
    let blob = try await session.store(file: from)
    try await session.fetch(blob, into: to)
    XCTAssertEqual(try Data(contentsOf: to), content())
    await expect(.io) { try await session.store(file: folder.appendingPathComponent("none")) }
    let nowhere = URL(fileURLWithPath: "/dev/null/nowhere")
    await expect(.io) { try await session.fetch(blob, into: nowhere) }
  }

  func testABlobThatIsTooLargeFailsBeforeAnythingIsSent() async throws {
    let session = try await join()
    let sparse = folder.appendingPathComponent("sparse")
    XCTAssertTrue(FileManager.default.createFile(atPath: sparse.path, contents: nil))
    let file = try FileHandle(forWritingTo: sparse)
    // The limit of a reflector in memory is 64 MiB. The file is sparse.
    try file.truncate(atOffset: 64 * 1024 * 1024 + 1)
    try file.close()
    let steps = Seen<TransferProgress>()
    let error = await failure { try await session.store(file: sparse) { steps.add($0) } }
    XCTAssertEqual((error as? TeatimeError)?.code, .blobTooLarge)
    XCTAssertTrue((error as? TeatimeError)?.message.contains("67108864") ?? false, "\(error as Any)")
    XCTAssertEqual(steps.all.map(\.done).max() ?? 0, 0)
  }

  func testCancellingTheTaskEndsATransfer() async throws {
    // Nothing listens there, so the transfer would try for six seconds.
    let session = try Session.start(
      JoinOptions(app: try .chat, reflector: nowhere, name: "cancel", options: Chat.Options()))
    let content = content(1000)
    let task = Task { try await session.store(bytes: content) }
    try await Task.sleep(for: .milliseconds(20))
    task.cancel()
    let started = ContinuousClock.now
    let error = await failure { try await task.value }
    XCTAssertTrue(error is CancellationError, "\(error as Any)")
    XCTAssertLessThan(started.duration(to: .now), .seconds(3))
    await expect(.unreachable) { try await session.store(bytes: content) }
    session.leave()
    await expect(.over) { try await session.store(bytes: content) }
  }

  func testUnknownHandlesAndForeignHandlesHaveDifferentErrors() async throws {
    let session = try await join("handles", password: "secret")
    let blob = try await session.store(bytes: content(1000))
    // This needs no reflector.
    let other = try Session.start(
      JoinOptions(
        app: try .chat, reflector: nowhere, name: "handles", password: "guessed",
        options: Chat.Options()))
    XCTAssertFalse(try other.owns(blob))
    await expect(.otherSession) { try await other.fetch(blob) }
    let empty = try Reflector.start(listening: "127.0.0.1:0")
    let elsewhere = try Session.start(
      JoinOptions(
        app: try .chat, reflector: empty.url, name: "handles", password: "secret",
        options: Chat.Options()))
    await expect(.unknownBlob) { try await elsewhere.fetch(blob) }
    try await empty.stop()
  }

  func testAHandleIsItsTextInEveryCoder() throws {
    let text = "teatime-blob:" + String(repeating: "ab", count: 32) + "0000000000000102"
      + String(repeating: "09", count: 16)
    let handle = try XCTUnwrap(BlobHandle(text))
    XCTAssertEqual(handle.size, 258)
    XCTAssertEqual(handle.description, text)
    let json = try JSONEncoder().encode([handle])
    XCTAssertEqual(String(decoding: json, as: UTF8.self), "[\"\(text)\"]")
    XCTAssertEqual(try JSONDecoder().decode([BlobHandle].self, from: json), [handle])
    let largest = text.replacingOccurrences(of: "0000000000000102", with: "7fffffffffffffff")
    XCTAssertEqual(BlobHandle(largest)?.size, Int.max)
    let tooLarge = text.replacingOccurrences(of: "0000000000000102", with: "8000000000000000")
    for wrong in [tooLarge, "", "teatime-blob:", String(text.dropLast()), text + "0", text.uppercased()] {
      XCTAssertNil(BlobHandle(wrong), wrong)
      let json = try JSONEncoder().encode([wrong])
      XCTAssertThrowsError(try JSONDecoder().decode([BlobHandle].self, from: json))
    }
  }

  private struct Photo: Codable {
    var text: String
    var photo: BlobHandle
  }

  func testALateJoinerFetchesABlobByTheHandleInTheModel() async throws {
    let session = try await join()
    let content = content()
    let blob = try await session.store(bytes: content)
    let shown = session.events("show", "photo")
    try session.publishToViews("show", "photo", Photo(text: "me", photo: blob))
    let event = try await shown.first("photo")
    XCTAssertEqual(try event.decode(as: Photo.self).photo, blob)
    try await session.waitUntilApplied(session.post(blob.description))
    // From now on a snapshot contains the model.
    let notices = session.notices
    try session.requestVote()
    try await notices.first("verdict") { if case .verdict = $0 { true } else { false } }
    let late = try await join()
    try await late.wait(forLine: blob.description)
    let line = try XCTUnwrap(try late.texts.last { $0.contains("teatime-blob:") })
    let found = try XCTUnwrap(line.range(of: "teatime-blob:"))
    let handle = try XCTUnwrap(BlobHandle(String(line[found.lowerBound...])))
    let fetched = try await late.fetch(handle)
    XCTAssertEqual(fetched, content)
  }

  func testTheCacheNeedsNoReflectorAndItsBytesAreChecked() async throws {
    var options = try options("cache", password: "secret")
    options.blobCacheDirectory = folder.appendingPathComponent("cache").path
    let session = try await join(options)
    let content = content()
    let blob = try await session.store(bytes: content)
    _ = try await session.fetch(blob)
    options.reflector = nowhere
    let offline = try Session.start(options)
    let nearby = try await offline.fetch(blob)
    XCTAssertEqual(nearby, content)
    let cache = try XCTUnwrap(options.blobCacheDirectory)
    for name in try FileManager.default.contentsOfDirectory(atPath: cache) {
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(cache)/\(name)"))
      try file.seek(toOffset: 20)
      file.write(Data("wrong".utf8))
      try file.close()
    }
    await expect(.unreachable) { try await offline.fetch(blob) }
    let fetched = try await session.fetch(blob)
    XCTAssertEqual(fetched, content)
    options.blobCacheDirectory = "/dev/null/nowhere"
    let nowhere = try Session.start(options)
    await expect(.io) { try await nowhere.fetch(blob) }
  }
}
