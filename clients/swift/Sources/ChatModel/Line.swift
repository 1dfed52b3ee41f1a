import Teatime

/// A line of the chat as a screen shows it.
public struct Line: Sendable, Hashable, Identifiable {
  /// The same as long as the line is there, and larger than those of all lines before.
  public let id: Int
  /// Who wrote it; nobody if it comes from the chat itself.
  public let writer: ViewID?
  /// The line as text, with the nickname in front.
  public let text: String
}

/// The lines that are there, held together with those that were there before.
struct History {
  private(set) var lines: [Line] = []
  /// The same as the model has them.
  private(set) var known: [Chat.Line] = []
  private var next = 0

  /// Takes the history as it is now. It only grows at its end and shrinks at its front, or is replaced
  /// by a reset: what is still there keeps its identity. Returns what is new.
  mutating func take(_ now: [Chat.Line]) throws(TeatimeError) -> ArraySlice<Line> {
    let longest = min(known.count, now.count)
    let common = (0...longest).last { known.suffix($0).elementsEqual(now.prefix($0)) } ?? 0
    lines.removeFirst(lines.count - common)
    for line in now.dropFirst(common) {
      let text = try Chat.plainText(ofHTML: line.html)
      lines.append(Line(id: next, writer: line.viewID, text: text))
      next += 1
    }
    known = now
    return lines.dropFirst(common)
  }
}
