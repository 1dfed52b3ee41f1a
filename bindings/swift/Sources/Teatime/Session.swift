internal import TeatimeFFI

/// A session that this client has joined or is joining. Any thread and any task may use all of it; calls take
/// turns.
///
/// It runs on a queue of its own until the app leaves: by ``leave()``, or when the app drops the last reference.
/// A call that reads the model may wait for a step of the simulation, at most 10 ms.
public final class Session: Sendable {
  /// Builds the view, each time one is ready: see ``start(_:onReady:)``.
  public typealias ViewBuilder = @Sendable (Session) throws -> Void

  /// The id of the session as 64 hexadecimal digits, the same for all participants.
  public let id: String
  /// The id of this view.
  public let viewID: ViewID
  /// The badge of the session, such as `#a0b1c2/#d3e4f5 tokim`: two colours and a word, the same for all
  /// participants.
  public let badge: String

  let native: Native
  let scheduler = Scheduler()
  let onReady: ViewBuilder?
  let state = Locked(State())
  let connections = Broadcast(startingWith: Connection(.connecting))
  let progresses = Broadcast(startingWith: 0.0)
  let noticed = Broadcast<Notice>()
  /// Counts the changes of what other participants show of themselves.
  let presenceChanges = Broadcast(startingWith: 0)
  /// The time when the app went to the background.
  let leftForeground = Locked<Departure?>(nil)

  private init(_ options: JoinOptions, onReady: ViewBuilder?) throws(TeatimeError) {
    let given = try options.ffi
    (native, id, viewID, badge) = try call {
      let ffi = try TeatimeFFI.Session.join(app: options.app.ffi, options: given)
      guard let viewID = ViewID(try ffi.viewId()) else {
        throw TeatimeError(.panic, "the library returned an invalid view id")
      }
      return (Native(ffi), try ffi.sessionId(), viewID, try ffi.badge())
    }
    self.onReady = onReady
  }

  /// Starts to join, and returns immediately. With a password it first derives keys, for about 30 ms. It tries to
  /// reach the reflector until it succeeds or the app leaves.
  ///
  /// - Parameters:
  ///   - options: Which session to join, and how.
  ///   - onReady: Builds the view. Called on a background thread, when the model has processed this view's join,
  ///     and again with the new model when a reconnect was not seamless. The model stands still meanwhile, so
  ///     that its subscriptions miss no change of what it reads. It must be quick. If it throws, the
  ///     session is left, and ``ready()`` throws the same error.
  /// - Throws: Which option is invalid.
  public static func start(
    _ options: JoinOptions, onReady: ViewBuilder? = nil
  ) throws(TeatimeError) -> Session {
    let session = try Session(options, onReady: onReady)
    session.scheduler.start(session)
    try call { try session.ffi.setWaker(waker: session.scheduler) }
    return session
  }

  /// Joins a session, and returns when the view is ready. If no reflector can be reached this waits without limit;
  /// to show that to the user call ``start(_:onReady:)`` and then ``ready()``. Cancelling the task leaves the
  /// session.
  ///
  /// - Throws: Which option is invalid; why joining has failed for good, such as
  ///   ``TeatimeError/Code/badSnapshot``; `CancellationError`; and the errors of `onReady`.
  public static func join(
    _ options: JoinOptions, onReady: ViewBuilder? = nil
  ) async throws -> Session {
    try Task.checkCancellation()
    let session = try start(options, onReady: onReady)
    do {
      try await session.ready()
      return session
    } catch {
      session.leave()
      throw error
    }
  }

  /// Leaves for good. The other participants see it at once. Ends all sequences. A second call does nothing.
  public func leave() {
    // Fails if the session is already over.
    try? ffi.leave()
    end(Connection(.left), throwing: TeatimeError.over)
  }

  /// Waits until the session is over and the reflector knows it, at most half a second after ``leave()``. Call it
  /// before the program ends. Cancelling the task only ends the wait.
  public func left() async {
    await native.waitUntilFreed()
  }

  deinit {
    leave()
  }

  /// The library's session.
  var ffi: TeatimeFFI.Session {
    get throws(TeatimeError) { try native.session }
  }
}
