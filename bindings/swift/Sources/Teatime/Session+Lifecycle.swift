extension Session {
  /// After this long in the background a connection is not trusted any more: the system may have cut
  /// it, and it would take ten seconds to notice.
  private static let trustedAbsence: Duration = .seconds(2)

  /// To be called when the system is about to suspend the app.
  public func didEnterBackground() {
    leftForeground.with { $0 = .now }
  }

  /// To be called when the app is back: makes a new connection at once if it was away for longer than
  /// two seconds, by a clock that goes on while the device sleeps.
  public func willEnterForeground() {
    let left = leftForeground.with { left in
      defer { left = nil }
      return left
    }
    if let left, left.duration(to: .now) > Self.trustedAbsence { reconnect() }
  }
}

#if canImport(UIKit) && !os(watchOS)
  import UIKit

  extension Session {
    /// Has the session follow the app to the background and back. Returns what must be kept as long as
    /// it should.
    @MainActor
    public func followAppLifecycle() -> AppLifecycleObserver {
      AppLifecycleObserver(self)
    }
  }

  /// Tells a session when the app goes to the background and when it is back.
  @MainActor
  public final class AppLifecycleObserver {
    // Safe although it is no constant for the compiler: it is written once and read at the end.
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
