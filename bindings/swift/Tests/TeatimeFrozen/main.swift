// An app that the tests freeze: a process of its own, which obeys lines of standard input.

import Foundation
import Teatime

func say(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

func post(_ text: String, in session: Session) async throws {
  let receipt = try session.publish("input", "newPost", Chat.Post(text: text))
  try await session.applied(receipt)
}

let options = JoinOptions(
  app: try .chat, reflector: CommandLine.arguments[1], name: "room", options: Chat.Options())
let session = try await Session.join(options)
say("ready")
while let line = readLine() {
  switch line {
  case "away":
    session.didEnterBackground(leaveAfter: .milliseconds(1500))
    // Messages arrive in order: when this has come back, the reflector knows.
    try await post("going", in: session)
    say("away")
  case "back":
    session.willEnterForeground()
    try await post("here again", in: session)
    let history: [Chat.Line] = try session.read("history")
    let texts = try history.map { try Chat.plainText(ofHTML: $0.html) }
    say("back " + texts.joined(separator: "|"))
  default:
    say("unknown " + line)
  }
}
