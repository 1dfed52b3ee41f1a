import Dispatch
internal import TeatimeFFI

/// Has a session run when something has arrived or is due, on one queue. It knows the session weakly,
/// so that nothing keeps a session alive but who uses it.
final class Scheduler: TeatimeFFI.Waker {
  /// Steps and pulls happen here, one after the other; sessions share the threads of the global queue,
  /// of which there are about as many as cores.
  let queue = DispatchQueue(label: "teatime.session", target: .global(qos: .userInitiated))
  /// Whether a run is about to happen already.
  private let isScheduled = Locked(false)
  // Safe although the compiler does not know it: dispatch sources may be used by any thread.
  private nonisolated(unsafe) let timer: any DispatchSourceTimer
  // Safe although it is a variable: it is written once, before anything is scheduled, and reading a
  // weak reference is atomic.
  private nonisolated(unsafe) weak var session: Session?

  init() {
    timer = DispatchSource.makeTimerSource(queue: queue)
    timer.schedule(deadline: .distantFuture)
  }

  /// To be called once, before anything else.
  func start(_ session: Session) {
    self.session = session
    timer.setEventHandler { [weak self] in self?.wake() }
    timer.activate()
  }

  /// Has the session run soon. May be called by any thread, at any time.
  func wake() {
    let isNew = isScheduled.with { scheduled in
      defer { scheduled = true }
      return !scheduled
    }
    // The session is only touched on the queue: the library's thread must not be the one that drops
    // the last reference.
    if isNew { queue.async { self.run() } }
  }

  /// Has it run at that time as well, or not at all.
  func wake(inMicroseconds pause: UInt64?) {
    let most = UInt64(Int32.max)
    let deadline = pause.map { DispatchTime.now() + .microseconds(Int(min($0, most))) }
    timer.schedule(deadline: deadline ?? .distantFuture, leeway: .milliseconds(1))
  }

  private func run() {
    // First: what arrives from now on needs another run.
    isScheduled.with { $0 = false }
    session?.run()
  }

  deinit {
    timer.cancel()
    // A source that was never activated must not be freed; the second time this does nothing.
    timer.activate()
  }
}
