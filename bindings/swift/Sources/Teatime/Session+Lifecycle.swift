extension Session {
  /// After a longer time in the background the system may have cut the connection, and noticing that would take
  /// ten seconds.
  private static let trustedAbsence: Duration = .seconds(2)

  /// Call this when the system is about to suspend the app, and ``willEnterForeground()`` when it is back.
  ///
  /// - Parameter leaveAfter: When the other participants see this one leave, whether the app still runs then or not; an
  ///   hour at most by default. Without it, the reflector notices the absence by silence, within a minute. The message
  ///   leaves on another thread, within milliseconds; without a working connection, the reflector's rejoin limit counts.
  public func didEnterBackground(leaveAfter: Duration? = nil) {
    leftForeground.with { $0 = Departure(at: .now, isLeaving: leaveAfter != nil || $0?.isLeaving == true) }
    if let leaveAfter {
      let milliseconds = max(0, leaveAfter / .milliseconds(1))
      // Fails only by a bug of the library, which ends the session anyway.
      try? ffi.leaveAfter(milliseconds: UInt32(exactly: milliseconds.rounded(.up)) ?? .max)
    }
  }

  /// Call this when the app is back in the foreground. If it was away for longer than two seconds, or was about to leave,
  /// the session makes a new connection immediately. The clock for this goes on while the device sleeps.
  public func willEnterForeground() {
    let left = leftForeground.with { left in
      defer { left = nil }
      return left
    }
    if let left, left.isLeaving || left.at.duration(to: .now) > Self.trustedAbsence { reconnect() }
  }

  /// How an app has gone to the background.
  struct Departure {
    var at: ContinuousClock.Instant
    /// The reflector was told that the participant leaves.
    var isLeaving: Bool
  }
}

#if canImport(UIKit) && !os(watchOS)
  import UIKit

  extension Session {
    /// Makes the session follow the app to the background and back, while the app holds the returned observer.
    @MainActor
    public func followAppLifecycle() -> AppLifecycleObserver {
      AppLifecycleObserver(self)
    }
  }

  /// Calls a session when the app goes to the background, and when it is back.
  @MainActor
  public final class AppLifecycleObserver {
    // Safe, although the compiler cannot see it: it is written once, and read at the end.
    private nonisolated(unsafe) let tokens: [any NSObjectProtocol]

    init(_ session: Session) {
      let center = NotificationCenter.default
      tokens = [
        center.addObserver(
          forName: UIApplication.didEnterBackgroundNotification, object: nil, queue: nil
        ) { [weak session] _ in session?.didEnterBackground() },
        center.addObserver(
          forName: UIApplication.willEnterForegroundNotification, object: nil, queue: nil
        ) { [weak session] _ in session?.willEnterForeground() },
      ]
    }

    deinit {
      for token in tokens { NotificationCenter.default.removeObserver(token) }
    }
  }
#endif
