import Foundation
import TallyModel
import Teatime

// Joins the room of a reflector; every line that is typed is a tap, and all taps are shown.
let reflector = CommandLine.arguments.dropFirst().first ?? "ws://127.0.0.1:9090"
let app = try App(exportedBy: tally_app())
let options = JoinOptions(app: app, reflector: reflector, name: "lobby")

// Shows the model as it stands when it has been joined, and again if it had to be joined anew.
let session = try Session.start(options, onReady: show)
let changes = session.events("tally", "changed", handling: .latest)
try await session.ready()
Task {
  // There is no model for a moment while it is joined anew.
  for await _ in changes { try? show(session) }
}

// Ends with the input.
while await Task.detached(operation: { readLine() }).value != nil {
  try await session.applied(session.publish("tally", "add"))
}
session.leave()

@Sendable func show(_ session: Session) throws {
  let total: Int = try session.read("total")
  // Not print, which keeps lines to itself where no terminal is.
  FileHandle.standardOutput.write(Data("total \(total)\n".utf8))
}
