import ChatModel
import Teatime

/// One of the forms that the program has.
@MainActor
protocol FrontEnd {
  /// Shows what has changed.
  func show(_ update: ChatModel.Update, of model: ChatModel)

  /// Says what went wrong.
  func complain(_ error: TeatimeError)

  /// What a line of input asks for; nothing if it has been dealt with.
  func command(_ line: String) -> Command?
}

/// What a user can ask for.
enum Command {
  case say(String)
  case post(String)
  case reset
  case vote
  case leave
}
