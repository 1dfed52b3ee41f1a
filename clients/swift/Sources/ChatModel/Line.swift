import Teatime

/// A line of the chat for a screen.
public struct Line: Sendable, Hashable, Identifiable {
  /// An id that never changes, larger than the ids of all lines before.
  public let id: Int
  /// The view that wrote the line; nil if the chat itself did.
  public let writer: ViewID?
  /// The line as text, with the nickname in front.
  public let text: String
}

/// The lines of the chat, with stable ids.
struct History {
  private(set) var lines: [Line] = []
  /// The same lines in the form of the model.
  private(set) var known: [Chat.Line] = []
  /// The number of the last line in the session.
  private var last: UInt64 = 0
  private var next = 0

  /// Takes the history of a new view, and returns the lines that were not known. A line is known if its number and its
  /// content are. A reflector that has lost the session starts a new one, with other lines of the same numbers: then no
  /// line is known.
  mutating func take(_ now: [Chat.Line], last number: UInt64) throws(TeatimeError) -> ArraySlice<Line> {
    let new = number < last ? now.count : Int(min(number - last, UInt64(now.count)))
    let kept = now.dropLast(new)
    let isSame = number >= last && known.suffix(kept.count).elementsEqual(kept)
    lines = lines.suffix(isSame ? kept.count : 0)
    let first = lines.count
    for line in isSame ? now.suffix(new) : now[...] { try append(line) }
    (known, last) = (now, number)
    return lines[first...]
  }

  /// Applies a change, and returns the new line.
  mutating func take(_ change: Chat.Change) throws(TeatimeError) -> ArraySlice<Line> {
    try append(change.line)
    known.append(change.line)
    let dropped = min(max(change.dropped, 0), known.count - 1)
    known.removeFirst(dropped)
    lines.removeFirst(max(lines.count - known.count, 0))
    last += 1
    return lines.suffix(1)
  }

  private mutating func append(_ line: Chat.Line) throws(TeatimeError) {
    let text = try Chat.plainText(ofHTML: line.html)
    lines.append(Line(id: next, writer: line.viewID, text: text))
    next += 1
  }
}
