import Observation
import Teatime

/// The chat as a screen shows it: what stands there, and what a user can do. The terminal program and
/// the SwiftUI screen share it.
@MainActor
@Observable
public final class ChatModel {
  /// Something that has changed.
  public enum Update: Sendable {
    /// The view has been built: everything. With what it was built from.
    case joined(ChatView)
    /// The lines; with those that are new.
    case history(ArraySlice<Line>)
    /// Own nickname and the number of participants.
    case viewInfo
    /// How the session stands with its reflector.
    case connection(Connection)
    /// Something else that the session tells.
    case notice(Notice)
  }

  /// The lines, oldest first.
  public var lines: [Line] { history.lines }
  /// The lines as the model has them.
  public var items: [Chat.Line] { history.known }
  /// The nickname of this user; empty before the room has been entered.
  public private(set) var nickname = ""
  /// How many are here.
  public private(set) var participants = 0
  /// How it stands with its reflector.
  public private(set) var connection: Connection
  /// What is being typed.
  public var draft = ""
  /// Why the last thing to send was not sent, for people.
  public private(set) var notice: String?
  /// The link by which others join.
  public let link: String
  /// The badge of the session, the same for all who are here.
  public var badge: String { session.badge }
  /// The session.
  public let session: Session

  private var history = History()
  /// Is told of every change, after it.
  @ObservationIgnored private let onUpdate: (@MainActor (ChatModel, Update) -> Void)?
  @ObservationIgnored private var lastSent: Receipt?
  @ObservationIgnored private var settling: [CheckedContinuation<Void, Never>] = []
  @ObservationIgnored private var tasks: [Task<Void, Never>] = []

  /// Enters a room. It is there when ``connection`` is live, and tries again for as long as there is no
  /// reflector.
  ///
  /// - Parameter onUpdate: Is told of every change, after it: for who does not observe.
  /// - Throws: What is wrong with the room.
  public init(
    _ room: Room, onUpdate: (@MainActor (ChatModel, Update) -> Void)? = nil
  ) throws(TeatimeError) {
    link = try room.link
    session = try Session.start(room.joinOptions) { session in try ChatView.build(session) }
    connection = session.connection
    self.onUpdate = onUpdate
    // One subscription for all topics, so that their order is kept.
    follow(session.events("*", "*")) {
      $0.take($1)
    } end: {
      $0.settleAll()
    }
    follow(session.connectionStates) { $0.take($1) }
    follow(session.notices) { $0.tell(.notice($1)) }
  }

  /// Leaves the room for good.
  public func leave() {
    session.leave()
  }

  deinit {
    for task in tasks { task.cancel() }
  }
}

// What a user does.
extension ChatModel {
  /// Sends what was typed, and clears it: exactly `/reset` resets the chat, everything else is a post.
  /// What cannot be sent stays where it is.
  public func send() {
    do {
      try say(draft)
      draft = ""
      notice = nil
    } catch {
      notice = "not sent: \(error.message)"
    }
  }

  /// Sends a line: exactly `/reset` resets the chat, everything else is a post.
  public func say(_ line: String) throws(TeatimeError) {
    if line == "/reset" { try reset() } else { try post(line) }
  }

  /// Sends a post.
  public func post(_ text: String) throws(TeatimeError) {
    lastSent = try publish("newPost", Chat.Post(text: text))
  }

  /// Clears the chat for everybody.
  public func reset() throws(TeatimeError) {
    lastSent = try publish("reset", "at user request")
  }

  private func publish(_ event: String, _ data: some Encodable) throws(TeatimeError) -> Receipt {
    // What is said before the view is built would stand before the reset that may come with it.
    guard session.isReady || session.connection.state.isOver else {
      throw TeatimeError(.notJoined, "the room has not been entered yet")
    }
    return try session.publish("input", event, data)
  }

  /// Waits until everything that was sent has come back and is shown, or the session is over.
  public func settle() async {
    if let lastSent { try? await session.applied(lastSent) }
    guard (try? session.publishToViews(ChatView.Own.scope, ChatView.Own.settled, true)) != nil
    else {
      return
    }
    await withCheckedContinuation { waiting in
      // It may have ended in the meantime, and then nobody would be told.
      if session.connection.state.isOver { waiting.resume() } else { settling.append(waiting) }
    }
  }
}

// What the session tells.
extension ChatModel {
  private func follow<Element: Sendable>(
    _ sequence: AsyncStream<Element>,
    _ take: @escaping @MainActor (ChatModel, Element) -> Void,
    end: @escaping @MainActor (ChatModel) -> Void = { _ in }
  ) {
    tasks.append(
      Task { [weak self] in
        for await element in sequence {
          guard let self else { return }
          take(self, element)
        }
        if let self { end(self) }
      })
  }

  private func tell(_ update: Update) {
    onUpdate?(self, update)
  }

  private func take(_ connection: Connection) {
    self.connection = connection
    tell(.connection(connection))
  }

  private func take(_ event: Event) {
    do throws(TeatimeError) {
      switch (event.scope, event.event) {
      case (ChatView.Own.scope, ChatView.Own.built): try take(try event.decode(as: ChatView.self))
      case (ChatView.Own.scope, ChatView.Own.settled): settleFirst()
      case ("history", "refresh"): tell(.history(try history.take(try session.read("history"))))
      case ("viewInfo", "refresh"): try takeViewInfo()
      default: break
      }
    } catch {
      // The model is gone; the next view brings everything anew.
      notice = error.message
    }
  }

  private func take(_ view: ChatView) throws(TeatimeError) {
    nickname = view.nickname
    participants = view.participants
    let new = try history.take(view.history)
    notice = nil
    tell(.joined(view))
    tell(.history(new))
    tell(.viewInfo)
  }

  private func takeViewInfo() throws(TeatimeError) {
    nickname = try session.chatNickname
    participants = try session.read("participants")
    tell(.viewInfo)
  }

  private func settleFirst() {
    if !settling.isEmpty { settling.removeFirst().resume() }
  }

  private func settleAll() {
    for waiting in settling { waiting.resume() }
    settling = []
  }
}
