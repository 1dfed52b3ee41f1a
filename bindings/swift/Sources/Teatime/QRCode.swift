import Foundation
internal import TeatimeFFI

/// A QR code as a square of modules.
public struct QRCode: Sendable, Hashable {
  /// Modules per side, without the quiet zone: readers need four light modules around the code.
  public let side: Int
  private let modules: Data

  /// The QR code of a text.
  ///
  /// - Throws: ``TeatimeError/Code/tooLong`` above 2,953 bytes.
  public init(_ text: String) throws(TeatimeError) {
    let code = try call { try qrCode(text: text) }
    side = Int(code.side)
    modules = code.modules
  }

  /// Whether the module is dark. All modules outside the square are light.
  public subscript(row row: Int, column column: Int) -> Bool {
    guard (0..<side).contains(row), (0..<side).contains(column) else { return false }
    return modules[modules.startIndex + row * side + column] == 1
  }
}
