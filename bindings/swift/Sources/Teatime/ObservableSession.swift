#if canImport(Observation)
  import Observation

  /// The observable state of a session, for a screen. It follows the session while it exists.
  @available(macOS 14, iOS 17, tvOS 17, watchOS 10, visionOS 1, *)
  @MainActor
  @Observable
  public final class ObservableSession {
    /// The session.
    public let session: Session
    /// The connection to the reflector.
    public private(set) var connection: Connection
    /// The progress of the catch-up, from 0 to 1.
    public private(set) var progress = 0.0
    /// Whether the model is up to date with the reflector.
    public private(set) var isSynced = false
    @ObservationIgnored private var tasks: [Task<Void, Never>] = []

    /// Follows a session.
    public init(_ session: Session) {
      self.session = session
      connection = session.connection
      follow(session.connectionStates) { $0.connection = $1 }
      follow(session.progress) { $0.progress = $1 }
      follow(session.notices) { if case .synced(let synced) = $1 { $0.isSynced = synced } }
      // For a notice from before.
      isSynced = (try? session.isSynced) ?? false
    }

    private func follow<Element: Sendable>(
      _ sequence: AsyncStream<Element>,
      _ take: @escaping @MainActor (ObservableSession, Element) -> Void
    ) {
      tasks.append(
        Task { [weak self] in
          for await element in sequence {
            guard let self else { return }
            take(self, element)
          }
        })
    }

    deinit {
      for task in tasks { task.cancel() }
    }
  }
#endif
