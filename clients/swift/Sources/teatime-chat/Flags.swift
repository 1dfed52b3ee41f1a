import ChatModel
import Foundation
import Teatime

/// The arguments of the command line.
struct Flags {
  /// The form of input and output.
  enum Form {
    /// Lines of text.
    case plain
    /// One JSON object a line, both ways.
    case json
  }

  /// The command line is invalid.
  struct Misuse: Error {
    let message: String
  }

  static let usage = """
    usage: teatime-chat [LINK] [--reflector URL] [--name ROOM] [--password PW]
                        [--inactivity SECONDS] [--announce] [--ca FILE] [--evidence DIR]
                        [--plain | --json]
    """

  private(set) var form = Form.plain
  private(set) var wantsHelp = false
  private var announces = false
  private var link: String?
  private var values: [String: String] = [:]

  private static let withValue = [
    "--reflector", "--name", "--password", "--inactivity", "--ca", "--evidence",
  ]

  /// Reads the arguments, without the name of the program.
  init(_ arguments: [String]) throws {
    var forms: Set<Form> = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      let (flag, attached) = Self.split(argument)
      switch flag {
      case "--help": wantsHelp = true
      case "--announce" where attached == nil: announces = true
      case "--plain" where attached == nil: forms.insert(.plain)
      case "--json" where attached == nil: forms.insert(.json)
      case _ where Self.withValue.contains(flag):
        guard let value = attached ?? rest.popFirst() else {
          throw Misuse(message: "\(flag) needs a value")
        }
        values[flag] = value
      case _ where flag.hasPrefix("-"): throw Misuse(message: "unknown flag \(argument)")
      case _ where link == nil: link = argument
      default: throw Misuse(message: "more than one link")
      }
    }
    guard forms.count < 2 else { throw Misuse(message: "--plain and --json exclude each other") }
    form = forms.first ?? .plain
  }

  /// A flag, and the value that is attached to it by an equals sign.
  private static func split(_ argument: String) -> (flag: String, value: String?) {
    guard argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") else {
      return (argument, nil)
    }
    return (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
  }

  /// The room of the command line. Flags override the link. Without either, `host` finds or hosts the reflector of
  /// this machine.
  func room(host: () throws -> String) throws -> Room {
    let linked = try link.map { try Room(link: $0) }
    var room = try linked ?? Room(reflector: values["--reflector"] ?? host())
    room.reflector = values["--reflector"] ?? room.reflector
    room.name = values["--name"] ?? room.name
    room.password = values["--password"] ?? room.password
    if let seconds = values["--inactivity"] { room.inactivitySeconds = try Room.seconds(seconds) }
    room.announces = room.announces || announces
    if let file = values["--ca"] {
      guard let pem = try? String(contentsOfFile: file, encoding: .utf8) else {
        throw Misuse(message: "cannot read \(file)")
      }
      room.trustedCertificates = pem
    }
    room.evidenceDirectory = values["--evidence"]
    return room
  }
}
