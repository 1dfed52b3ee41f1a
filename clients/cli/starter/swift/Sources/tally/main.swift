import Foundation
import TallyModel
import Teatime

// Joins a room and shows the number of taps. Every typed line is a tap.
let reflector = CommandLine.arguments.dropFirst().first ?? "ws://127.0.0.1:9090"
let app = try App(exportedBy: tally_app())
let options = JoinOptions(app: app, reflector: reflector, name: "lobby")

// Shows the model after the join, and again after each rejoin.
let session = try Session.start(options, onReady: show)
let changes = session.events("tally", "changed", handling: .latest)
try await session.ready()
Task {
  // Reading fails during a rejoin, because the model is gone then.
  for await _ in changes { try? show(session) }
}

// Runs until the input ends.
while await Task.detached(operation: { readLine() }).value != nil {
  try await session.applied(session.publish("tally", "add"))
}
session.leave()

@Sendable func show(_ session: Session) throws {
  let total: Int = try session.read("total")
  // Not by print, which buffers lines if the output is not a terminal.
  FileHandle.standardOutput.write(Data("total \(total)\n".utf8))
}
