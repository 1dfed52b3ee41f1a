import ChatModel
import Foundation
import Teatime

/// One JSON object a line, both ways.
final class JSONLines: FrontEnd {
  private var wasReconnecting = false

  func show(_ update: ChatModel.Update, of model: ChatModel) {
    switch update {
    case .joined(let view):
      Output.print(json: [
        "event": "joined", "session_id": model.session.id,
        "view_id": model.session.viewID.description, "nickname": view.nickname,
        "participants": view.participants, "badge": model.badge, "link": model.link,
      ])
    case .history:
      let items = model.items.map { line in
        ["view_id": line.viewID?.description ?? NSNull() as Any, "html": line.html]
      }
      Output.print(json: ["event": "history", "items": items])
    case .viewInfo:
      Output.print(json: [
        "event": "view_info", "nickname": model.nickname, "participants": model.participants,
      ])
    case .typing: Output.print(json: ["event": "typing", "nicknames": model.typing])
    case .connection(let connection): show(connection)
    case .notice(let notice): show(notice)
    }
  }

  private func show(_ connection: Connection) {
    switch connection.state {
    case .reconnecting where !wasReconnecting: wasReconnecting = true
    case .live where wasReconnecting: wasReconnecting = false
    case .left: break
    default: return
    }
    Output.print(json: ["event": "connection", "state": connection.state.rawValue])
  }

  private func show(_ notice: Notice) {
    switch notice {
    case .state(let seq, let time, let hash):
      Output.print(json: [
        "event": "state", "seq": seq, "time_us": microseconds(time), "hash": hash,
      ])
    case .verdict(let seq, let hash, let agreed, let of):
      Output.print(json: [
        "event": "verdict", "seq": seq, "hash": hash ?? NSNull() as Any, "agreed": agreed, "of": of,
      ])
    case .fault(_, _, _, let message): complain(TeatimeError(.fault, message))
    case .diverged(let seq, let time, let hash, let evidence, let message):
      Output.print(json: [
        "event": "diverged", "seq": seq, "time_us": microseconds(time), "hash": hash,
        "evidence": evidence ?? NSNull() as Any,
      ])
      if let message { complain(TeatimeError(.io, message)) }
    case .newerVersion(let version, let message):
      Output.print(json: ["event": "newer_version", "version": version, "message": message])
    case .notPersisted(let code, let message):
      Output.print(json: [
        "event": "not_persisted", "code": code?.name ?? NSNull() as Any, "message": message,
      ])
    case .otherPassword(let message):
      Output.print(json: ["event": "hint", "code": "OTHER_PASSWORD", "message": message])
    case .unconfirmed(let count, let message):
      Output.print(json: ["event": "unconfirmed", "count": count, "message": message])
    case .disagreement(let seq, let message):
      Output.print(json: ["event": "disagreement", "seq": seq, "message": message])
    case .alarm(let kind, let seq, let participant, let message):
      Output.print(json: [
        "event": "alarm", "kind": kind, "seq": seq,
        "participant": participant?.description ?? NSNull() as Any, "message": message,
      ])
    case .viewReady, .viewLost, .synced, .held, .persisted: break
    }
  }

  func complain(_ error: TeatimeError) {
    complain(code: error.code.name, error.message)
  }

  private func complain(code: String, _ message: String) {
    Output.print(json: ["event": "error", "code": code, "message": message])
  }

  func command(_ line: String) -> Command? {
    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8))
    switch object as? [String: String] {
    case ["do": "typing"]: return .typing
    case ["do": "reset"]: return .reset
    case ["do": "vote"]: return .vote
    case ["do": "leave"]: return .leave
    case let members? where members["do"] == "post" && members.count == 2:
      if let text = members["text"] { return .post(text) }
    default: break
    }
    complain(code: "BAD_COMMAND", "unknown command: expected post with text, typing, reset, vote or leave")
    return nil
  }
}

/// Whole microseconds. A division of durations gives a floating-point number, which can be a little less.
private func microseconds(_ time: Duration) -> Int64 {
  let (seconds, attoseconds) = time.components
  return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
}
