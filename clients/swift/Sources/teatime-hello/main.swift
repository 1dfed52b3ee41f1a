// The shortest chat: joins a room of this machine, says one line, and prints what is said.

import Teatime

let reflector = try Reflector.local()
let options = JoinOptions(
  app: try .chat, reflector: reflector.url, name: "lobby", options: Chat.Options())
let session = try await Session.join(options)
let changes = session.events("history", "refresh")
try session.publish("input", "newPost", Chat.Post(text: "four o'clock"))
for await _ in changes {
  let lines: [Chat.Line] = try session.read("history")
  print(try Chat.plainText(ofHTML: lines.last?.html ?? ""))
}
