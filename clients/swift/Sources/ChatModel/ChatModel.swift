import Observation
import Teatime

/// The chat for a screen: its content, and the actions of the user. The terminal program and the SwiftUI
/// screen share it.
@MainActor
@Observable
public final class ChatModel {
  /// A change.
  public enum Update: Sendable {
    /// The app has built a view, and everything may have changed.
    case joined(ChatView)
    /// The lines changed. Contains the new lines.
    case history(ArraySlice<Line>)
    /// The user's nickname or the number of participants changed.
    case viewInfo
    /// Others began or stopped to type.
    case typing
    /// The connection changed its state.
    case connection(Connection)
    /// Another notice of the session.
    case notice(Notice)
  }

  /// The lines, oldest first.
  public var lines: [Line] { history.lines }
  /// The lines in the form of the model.
  public var items: [Chat.Line] { history.known }
  /// The nickname of this user; empty before the first view.
  public private(set) var nickname = ""
  /// The number of participants.
  public private(set) var participants = 0
  /// The nicknames of the others who are typing, in the order of the alphabet.
  public private(set) var typing: [String] = []
  /// The connection to the reflector.
  public private(set) var connection: Connection
  /// The text that the user is typing.
  public var draft = ""
  /// Why the last text was not sent, for people.
  public private(set) var notice: String?
  /// The link by which others join.
  public let link: String
  /// The badge of the session, the same for all participants.
  public var badge: String { session.badge }
  /// The session.
  public let session: Session

  private var history = History()
  /// Called after every change.
  @ObservationIgnored private let onUpdate: (@MainActor (ChatModel, Update) -> Void)?
  @ObservationIgnored private var lastSent: Receipt?
  @ObservationIgnored private var settling: [CheckedContinuation<Void, Never>] = []
  @ObservationIgnored private var tasks: [Task<Void, Never>] = []
  /// Ends when the others no longer see that this user is typing.
  @ObservationIgnored private var typingEnd: Task<Void, Never>?
  /// A user who has pressed no key for this long is not typing.
  private static let typingTime: Duration = .seconds(5)

  /// Enters a room. The user is in the room when ``connection`` is live. Until then it tries to reach the reflector.
  ///
  /// - Parameter onUpdate: Called after every change, for front ends that do not observe this object.
  /// - Throws: Which option of the room is invalid.
  public init(
    _ room: Room, onUpdate: (@MainActor (ChatModel, Update) -> Void)? = nil
  ) throws(TeatimeError) {
    link = try room.link
    session = try Session.start(room.joinOptions) { session in try ChatView.build(session) }
    connection = session.connection
    self.onUpdate = onUpdate
    // One subscription for all topics, so that events of different topics come in order.
    follow(session.events("*", "*")) {
      $0.take($1)
    } end: {
      $0.settleAll()
    }
    follow(session.connectionStates) { $0.take($1) }
    follow(session.notices) { $0.send(.notice($1)) }
    followPresences()
  }

  /// Leaves the room for good.
  public func leave() {
    session.leave()
  }

  deinit {
    for task in tasks { task.cancel() }
    typingEnd?.cancel()
  }
}

// The actions of the user.
extension ChatModel {
  /// Sends the draft and clears it. Exactly `/reset` resets the chat; every other text is a post. The draft stays if
  /// it cannot be sent.
  public func send() {
    do {
      try say(draft)
      draft = ""
      notice = nil
    } catch {
      notice = "not sent: \(error.message)"
    }
  }

  /// Sends a line. Exactly `/reset` resets the chat; every other line is a post.
  public func say(_ line: String) throws(TeatimeError) {
    if line == "/reset" { try reset() } else { try post(line) }
  }

  /// Sends a post.
  public func post(_ text: String) throws(TeatimeError) {
    setTyping(false)
    lastSent = try publish("newPost", Chat.Post(text: text))
  }

  /// Clears the chat for all participants.
  public func reset() throws(TeatimeError) {
    lastSent = try publish("reset", "at user request")
  }

  /// The user types, or has stopped. The others see it until the next post, or for some seconds.
  public func setTyping(_ typing: Bool) {
    guard typing || typingEnd != nil else { return }
    typingEnd?.cancel()
    typingEnd = nil
    // Fails only after the end.
    guard typing else { return (try? session.clearPresence()) ?? () }
    try? session.setPresence(ChatPresence(typing: true))
    typingEnd = Task { [weak self] in
      guard (try? await Task.sleep(for: Self.typingTime)) != nil else { return }
      self?.setTyping(false)
    }
  }

  /// Who is typing, for people; nil if they are none.
  public var typingLine: String? {
    switch typing.count {
    case 0: nil
    case 1: "\(typing[0]) is typing"
    case 2: "\(typing[0]) and \(typing[1]) are typing"
    default: "\(typing[0]), \(typing[1]) and \(typing.count - 2) more are typing"
    }
  }

  private func publish(_ event: String, _ payload: some Encodable) throws(TeatimeError) -> Receipt {
    // Building the view may publish a reset, which would delete earlier posts.
    guard session.isReady || session.connection.state.isOver else {
      throw TeatimeError(.notJoined, "not in the room yet")
    }
    return try session.publish("input", event, payload)
  }

  /// Waits until all sent events have come back and are shown, or the session is over.
  public func settle() async {
    if let lastSent { try? await session.applied(lastSent) }
    guard (try? session.publishToViews(ChatView.Own.scope, ChatView.Own.settled, true)) != nil
    else {
      return
    }
    await withCheckedContinuation { waiting in
      // If the session has ended meanwhile, no event will resume this caller.
      if session.connection.state.isOver { waiting.resume() } else { settling.append(waiting) }
    }
  }
}

// The events of the session.
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

  private func followPresences() {
    let presences = session.presenceUpdates(of: ChatPresence.self)
    tasks.append(
      Task { [weak self] in
        for await shown in presences {
          guard let self else { return }
          take(shown)
        }
      })
  }

  private func take(_ shown: [ViewID: ChatPresence]) {
    let names = shown.filter(\.value.typing).keys.compactMap { view in
      (try? session.read("nickname", view, as: String?.self)) ?? nil
    }
    guard names.sorted() != typing else { return }
    typing = names.sorted()
    send(.typing)
  }

  private func send(_ update: Update) {
    onUpdate?(self, update)
  }

  private func take(_ connection: Connection) {
    self.connection = connection
    send(.connection(connection))
  }

  private func take(_ event: Event) {
    do throws(TeatimeError) {
      switch (event.scope, event.event) {
      case (ChatView.Own.scope, ChatView.Own.built): try take(try event.decode(as: ChatView.self))
      case (ChatView.Own.scope, ChatView.Own.settled): settleFirst()
      case ("history", "refresh"):
        send(.history(try history.take(try event.decode(as: Chat.Change.self))))
      case ("viewInfo", "refresh"): try takeViewInfo()
      default: break
      }
    } catch {
      // The model is gone. The next view brings everything again.
      notice = error.message
    }
  }

  private func take(_ view: ChatView) throws(TeatimeError) {
    nickname = view.nickname
    participants = view.participants
    let new = try history.take(view.history, last: view.lastLine)
    notice = nil
    send(.joined(view))
    send(.history(new))
    send(.viewInfo)
  }

  private func takeViewInfo() throws(TeatimeError) {
    nickname = try session.chatNickname
    participants = try session.read("participants")
    send(.viewInfo)
  }

  private func settleFirst() {
    if !settling.isEmpty { settling.removeFirst().resume() }
  }

  private func settleAll() {
    for waiting in settling { waiting.resume() }
    settling = []
  }
}

/// What a participant of the chat shows of itself, and no model sees. A participant that is not typing shows nothing.
private struct ChatPresence: Codable, Sendable {
  /// Its user is typing a post.
  let typing: Bool
}
