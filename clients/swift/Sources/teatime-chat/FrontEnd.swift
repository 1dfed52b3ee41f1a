import ChatModel
import Teatime

/// A front end: plain text or JSON.
@MainActor
protocol FrontEnd {
  /// Shows a change.
  func show(_ update: ChatModel.Update, of model: ChatModel)

  /// Shows an error.
  func complain(_ error: TeatimeError)

  /// The command in a line of input; nil if the line is invalid, which this reports.
  func command(_ line: String) -> Command?
}

/// A command of the user.
enum Command {
  case say(String)
  case post(String)
  case typing
  case reset
  case vote
  case leave
}
