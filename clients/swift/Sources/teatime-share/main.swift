// Shares files in a room, beside its chat:
//   teatime-share put URL ROOM FILE           stores a file, and prints its handle
//   teatime-share get URL ROOM HANDLE FILE    fetches a file by its handle
// URL is the address of a reflector, such as ws://192.0.2.1:9090.

import Foundation
import Teatime

/// Prints a line to the standard error.
func complain(_ text: String) {
  FileHandle.standardError.write(Data("teatime-share: \(text)\n".utf8))
}

func misused() -> Never {
  complain("expected: put URL ROOM FILE, or get URL ROOM HANDLE FILE")
  exit(2)
}

/// Prints how far a transfer has come.
@Sendable func show(_ progress: TransferProgress) {
  complain("\(Int(100 * progress.fraction)) %")
}

let words = Array(CommandLine.arguments.dropFirst())
guard words.count >= 4 else { misused() }
do {
  let options = JoinOptions(
    app: try .chat, reflector: words[1], name: words[2], options: Chat.Options())
  let session = try await Session.join(options)
  switch (words[0], words.count) {
  case ("put", 4):
    let handle = try await session.store(file: URL(fileURLWithPath: words[3]), progress: show)
    print(handle)
  case ("get", 5):
    guard let handle = BlobHandle(words[3]) else { misused() }
    try await session.fetch(handle, into: URL(fileURLWithPath: words[4]), progress: show)
  default:
    misused()
  }
  session.leave()
  // The others see the exit before the program ends.
  await session.left()
} catch let error as TeatimeError {
  complain(error.message)
  exit(1)
}
