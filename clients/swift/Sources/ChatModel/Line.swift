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
  private var next = 0

  /// Takes the current history, and returns the new lines. A history grows at its end and shrinks at its front; a
  /// reset replaces it. Lines that are still there keep their ids.
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
