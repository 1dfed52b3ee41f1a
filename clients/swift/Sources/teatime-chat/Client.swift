import ChatModel
import Dispatch
import Foundation
import Teatime

/// Chats until the user leaves, a signal arrives, or the session fails.
@MainActor
final class Client {
  private let frontEnd: any FrontEnd
  private let model: ChatModel
  /// Ends when the session is over.
  private let over: AsyncStream<Never>

  /// Enters a room.
  init(_ room: Room, frontEnd: any FrontEnd) throws {
    self.frontEnd = frontEnd
    let (over, end) = AsyncStream.makeStream(of: Never.self)
    self.over = over
    let complaints = Complaints(frontEnd)
    model = try ChatModel(room) { model, update in
      if case .connection(let connection) = update { complaints.take(connection) }
      frontEnd.show(update, of: model)
      if case .connection(let connection) = update, connection.state.isOver { end.finish() }
    }
  }

  /// Chats, and returns the exit status.
  func run() async -> Int32 {
    let signals = ([SIGINT, SIGTERM] + (Signal.isIgnored(SIGHUP) ? [] : [SIGHUP])).map { Signal($0) { [model] in model.leave() } }
    Output.onGone = { [model] in model.leave() }
    if Output.isGone { model.leave() }
    let obeying = Task { await obey() }
    for await _ in over {}
    obeying.cancel()
    await model.session.left()
    return withExtendedLifetime(signals) { model.connection.state == .failed || Output.isGone ? 1 : 0 }
  }

  private func obey() async {
    for await line in Input.lines() {
      // Input from before the first view waits.
      guard (try? await model.session.ready()) != nil else { return }
      guard let command = frontEnd.command(line) else { continue }
      if case .leave = command { break }
      await perform(command)
    }
    guard (try? await model.session.ready()) != nil else { return }
    await model.settle()
    model.leave()
  }

  /// Executes a command as soon as possible.
  private func perform(_ command: Command) async {
    while true {
      do {
        return try attempt(command)
      } catch {
        switch error.code {
        case .tooFast: await model.settle()
        case .notJoined: await model.session.waitUntilLiveOrOver()
        case .over: return
        default: return frontEnd.complain(error)
        }
      }
    }
  }

  private func attempt(_ command: Command) throws(TeatimeError) {
    switch command {
    case .say(let line): try model.say(line)
    case .post(let text): try model.post(text)
    case .typing: model.setTyping(true)
    case .reset: try model.reset()
    case .vote: try model.session.requestVote()
    case .leave: break
    }
  }
}

/// Reports problems of the connection: a failure, and the first of many attempts to reach the reflector.
@MainActor
private final class Complaints {
  private let frontEnd: any FrontEnd
  private var hasReported = false

  init(_ frontEnd: any FrontEnd) {
    self.frontEnd = frontEnd
  }

  func take(_ connection: Connection) {
    if connection.state == .live { hasReported = false }
    guard let reason = connection.reason else { return }
    let isUnreached = [.unreachable, .badCertificate, .notStored].contains(reason.code)
    if connection.state == .failed || (isUnreached && !hasReported) {
      frontEnd.complain(reason)
      hasReported = true
    }
  }
}

/// Calls a function when a signal arrives, instead of ending the program. Also for a signal that was ignored when
/// the program started, as SIGINT is after nohup.
@MainActor
private final class Signal {
  private let source: any DispatchSourceSignal

  init(_ number: Int32, _ handle: @escaping @MainActor () -> Void) {
    signal(number, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: number, queue: .main)
    source.setEventHandler { MainActor.assumeIsolated(handle) }
    source.activate()
  }

  /// Whether the program was started with this signal ignored, as nohup does with the end of the terminal.
  static func isIgnored(_ number: Int32) -> Bool {
    let before = signal(number, SIG_IGN)
    let isIgnored = unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    if !isIgnored { signal(number, before) }
    return isIgnored
  }
}

extension Session {
  /// Waits until the session is connected or over.
  fileprivate func waitUntilLiveOrOver() async {
    // Lets the session announce the change that made the caller's attempt fail.
    await Task.yield()
    for await connection in connectionStates {
      if connection.state == .live || connection.state.isOver { return }
    }
  }
}
