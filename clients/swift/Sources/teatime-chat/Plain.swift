import ChatModel
import Teatime

/// Prints new lines of the history as text. Every typed line is a post, except `/reset`.
struct Plain: FrontEnd {
  func show(_ update: ChatModel.Update, of model: ChatModel) {
    switch update {
    case .history(let new):
      for line in new { Output.print(text: line.text) }
    case .notice(.fault(_, _, _, let message)): Output.complain(message)
    case .notice(.diverged(_, _, _, let evidence, let message)):
      let more = (evidence.map { "see: teatime diff \($0)" } ?? message).map { "; \($0)" } ?? ""
      Output.complain("this client's state was wrong and has been replaced\(more)")
    case .notice(.newerVersion(_, let message)), .notice(.notPersisted(_, let message)),
      .notice(.unconfirmed(_, let message)), .notice(.disagreement(_, let message)),
      .notice(.alarm(_, _, _, let message)), .notice(.otherPassword(let message)):
      Output.complain(message)
    case .joined, .viewInfo, .typing, .connection, .notice: break
    }
  }

  func complain(_ error: TeatimeError) {
    Output.complain(error.message)
  }

  func command(_ line: String) -> Command? {
    .say(line)
  }
}
