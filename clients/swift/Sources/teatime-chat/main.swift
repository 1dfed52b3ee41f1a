// A chat for a terminal (--plain) and for programs (--json).

import ChatModel
import Foundation
import Teatime

/// Ends the program because the command line is invalid.
@MainActor
func misused(_ message: String) -> Never {
  Output.complain(message)
  for line in Flags.usage.split(separator: "\n") { Output.complain(String(line)) }
  exit(2)
}

// If the reader of the output is gone, writing must fail instead of ending the program.
signal(SIGPIPE, SIG_IGN)

var reflector: Reflector?
do {
  let flags = try Flags(Array(CommandLine.arguments.dropFirst()))
  if flags.wantsHelp {
    Output.print(Flags.usage)
    exit(0)
  }
  let room = try flags.room {
    let local = try Reflector.local()
    reflector = local
    return local.url
  }
  let frontEnd: any FrontEnd = flags.form == .json ? JSONLines() : Plain()
  let client = try Client(room, frontEnd: frontEnd)
  let status = await client.run()
  try await reflector?.stop()
  exit(status)
} catch let misuse as Flags.Misuse {
  misused(misuse.message)
} catch let error as TeatimeError where error.code == .io {
  Output.complain(error.message)
  exit(1)
} catch {
  misused((error as? TeatimeError)?.message ?? "\(error)")
}
