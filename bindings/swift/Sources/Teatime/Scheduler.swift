import Dispatch
internal import TeatimeFFI

/// Runs a session on one queue, when something has arrived or is due. Its reference to the session is weak, so
/// that only the app keeps the session alive.
final class Scheduler: TeatimeFFI.Waker {
  /// The queue for steps and pulls, one after the other. All sessions share the threads of the global queue;
  /// their number is about the number of cores.
  let queue = DispatchQueue(label: "teatime.session", target: .global(qos: .userInitiated))
  /// Whether a run is already scheduled.
  private let isScheduled = Locked(false)
  // Safe, although the compiler cannot see it: any thread may use a dispatch source.
  private nonisolated(unsafe) let timer: any DispatchSourceTimer
  // Safe, although it is a variable: it is written once, before anything is scheduled, and reading a
  // weak reference is atomic.
  private nonisolated(unsafe) weak var session: Session?

  init() {
    timer = DispatchSource.makeTimerSource(queue: queue)
    timer.schedule(deadline: .distantFuture)
  }

  /// Call this once, before anything else.
  func start(_ session: Session) {
    self.session = session
    timer.setEventHandler { [weak self] in self?.wake() }
    timer.activate()
  }

  /// Schedules a run of the session. Any thread may call this at any time.
  func wake() {
    let isNew = isScheduled.with { scheduled in
      defer { scheduled = true }
      return !scheduled
    }
    // The session is only used on the queue, because the library's thread must not drop the last
    // reference.
    if isNew { queue.async { self.run() } }
  }

  /// Sets the timer for a run after a pause; nil stops the timer.
  func wake(inMicroseconds pause: UInt64?) {
    let most = UInt64(Int32.max)
    let deadline = pause.map { DispatchTime.now() + .microseconds(Int(min($0, most))) }
    timer.schedule(deadline: deadline ?? .distantFuture, leeway: .milliseconds(1))
  }

  private func run() {
    // First, because events that arrive from now on need another run.
    isScheduled.with { $0 = false }
    session?.run()
  }

  deinit {
    timer.cancel()
    // A source must be activated before it is freed. A second activation does nothing.
    timer.activate()
  }
}
