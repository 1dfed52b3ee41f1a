#if canImport(Observation)
  import Observation
  import Teatime
  import XCTest

  @available(macOS 14, iOS 17, tvOS 17, watchOS 10, visionOS 1, *)
  final class ObservableTests: SessionTestCase {
    func testAScreenFollowsTheSession() async throws {
      try await Self.follow(options(), at: reflector)
    }

    func testDroppingItLeavesTheSession() async throws {
      try await Self.drop(options())
    }

    /// Waits until `wanted` accepts the observed session.
    @MainActor
    private static func wait(
      for what: String, in observed: ObservableSession,
      until wanted: @MainActor @Sendable (ObservableSession) -> Bool
    ) async throws {
      while true {
        let changed = AsyncStream.makeStream(of: Void.self)
        let holds = withObservationTracking {
          wanted(observed)
        } onChange: {
          changed.continuation.yield()
        }
        if holds { return }
        try await changed.stream.first(what)
        // The callback comes before the change is made.
        await Task.yield()
      }
    }

    @MainActor
    private static func follow(_ options: JoinOptions, at first: Reflector) async throws {
      let session = try Session.start(options)
      let observed = ObservableSession(session)
      try await wait(for: "life", in: observed) { $0.connection.state == .live }
      try await wait(for: "progress", in: observed) { $0.progress == 1 }
      try await wait(for: "model that is up to date", in: observed) { $0.isSynced }
      // A screen shows the newest state, so only a loss that lasts is certain to be seen.
      try await first.stop()
      try await wait(for: "loss", in: observed) { $0.connection.state == .reconnecting }
      let second = try Reflector.start(listening: String(first.url.dropFirst("ws://".count)))
      try await wait(for: "life", in: observed) { $0.connection.state == .live }
      session.leave()
      try await wait(for: "end", in: observed) { $0.connection.state == .left }
      try await second.stop()
    }

    @MainActor
    private static func drop(_ options: JoinOptions) async throws {
      weak var dropped: ObservableSession?
      let stays = try await inTime("join") { try await Session.join(options) }
      do {
        let session = try await inTime("join") { try await Session.join(options) }
        let observed = ObservableSession(session)
        dropped = observed
        try await stays.wait(forParticipants: 2)
        XCTAssertEqual(observed.connection.state, .live)
      }
      try await stays.wait(forParticipants: 1)
      XCTAssertNil(dropped)
    }
  }
#endif
