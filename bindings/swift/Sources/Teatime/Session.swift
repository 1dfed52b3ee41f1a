internal import TeatimeFFI

/// A session that has been joined, or is on the way to it. All of it may be used from any thread and
/// any task; calls take turns.
///
/// It runs by itself, on a queue of its own, until it is left: by ``leave()``, or when the last
/// reference to it is gone. Whatever reads the model may wait for a step of the simulation that is
/// under way, 10 ms at most.
public final class Session: Sendable {
  /// Builds the view, or builds it anew: see ``start(_:onReady:)``.
  public typealias ViewBuilder = @Sendable (Session) throws -> Void

  /// Identity of the session as 64 hexadecimal digits.
  public let id: String
  /// Identity of this view.
  public let viewID: ViewID
  /// The badge of the session, such as `#a0b1c2/#d3e4f5 tokim`: two colours and a word, the same for
  /// all who are in it.
  public let badge: String

  let native: Native
  let scheduler = Scheduler()
  let onReady: ViewBuilder?
  let state = Locked(State())
  let connections = Broadcast(startingWith: Connection(.connecting))
  let progresses = Broadcast(startingWith: 0.0)
  let noticed = Broadcast<Notice>()
  /// When the app went to the background.
  let leftForeground = Locked<ContinuousClock.Instant?>(nil)

  private init(_ options: JoinOptions, onReady: ViewBuilder?) throws(TeatimeError) {
    let given = try options.ffi
    (native, id, viewID, badge) = try call {
      let ffi = try TeatimeFFI.Session.join(app: options.app.ffi, options: given)
      guard let viewID = ViewID(try ffi.viewId()) else {
        throw TeatimeError(.panic, "the library made a view id that is none")
      }
      return (Native(ffi), try ffi.sessionId(), viewID, try ffi.badge())
    }
    self.onReady = onReady
  }

  /// Starts to join, and returns at once, or after some 30 ms if there is a password: the keys are
  /// derived from it. A reflector that cannot be reached is tried again and again.
  ///
  /// - Parameters:
  ///   - options: Which session, and how.
  ///   - onReady: Called whenever a view can be built from the model: once this view has joined, and
  ///     again when a reconnect was not seamless and the model is another. The model stands still
  ///     meanwhile, on a background thread, so that what is read in here and what is subscribed to in
  ///     here leave no gap. It must be quick. If it throws the session is left, and ``ready()`` throws
  ///     the same.
  /// - Throws: What is wrong with the options.
  public static func start(
    _ options: JoinOptions, onReady: ViewBuilder? = nil
  ) throws(TeatimeError) -> Session {
    let session = try Session(options, onReady: onReady)
    session.scheduler.start(session)
    try call { try session.ffi.setWaker(waker: session.scheduler) }
    return session
  }

  /// Joins a session, and returns when a view can be built from the model. That lasts as long as no
  /// reflector can be reached: who wants to show that uses ``start(_:onReady:)`` and then
  /// ``ready()``. Cancelling the task leaves the session.
  ///
  /// - Throws: What is wrong with the options; why joining has failed for good, such as
  ///   ``TeatimeError/Code/wrongPassword``; `CancellationError`; and what `onReady` throws.
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

  /// Leaves for good; the others see it at once. Ends all sequences. Does nothing the second time.
  public func leave() {
    // It fails if it is over already.
    try? ffi.leave()
    end(Connection(.left), throwing: TeatimeError.over)
  }

  /// Waits until it is over and the farewell has been sent, at most half a second after ``leave()``:
  /// for a program that is about to end. Cancelling it only ends the wait.
  public func left() async {
    await native.wasFreed()
  }

  deinit {
    leave()
  }

  /// The library's side of it.
  var ffi: TeatimeFFI.Session {
    get throws(TeatimeError) { try native.session }
  }
}
