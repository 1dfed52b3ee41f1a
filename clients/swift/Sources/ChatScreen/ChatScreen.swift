#if canImport(SwiftUI)
  import ChatModel
  import SwiftUI
  import Teatime

  /// The chat: a header, the lines, and a text field.
  public struct ChatScreen: View {
    @State private var model: ChatModel
    @State private var isSharing = false
    #if canImport(UIKit) && !os(watchOS)
      @State private var lifecycle: AppLifecycleObserver?
    #endif

    /// Shows a chat.
    public init(_ model: ChatModel) {
      _model = State(initialValue: model)
    }

    public var body: some View {
      VStack(spacing: 0) {
        ChatHeader(model: model, isSharing: $isSharing)
        Divider()
        ChatLines(model: model)
        if let typing = model.typingLine {
          Text(verbatim: typing).font(.footnote).foregroundStyle(.secondary)
        }
        if let notice = model.notice {
          Text(notice).font(.footnote).foregroundStyle(.red)
        }
        ChatInput(model: model)
      }
      .sheet(isPresented: $isSharing) { ShareRoom(link: model.link) }
      #if canImport(UIKit) && !os(watchOS)
        .onAppear { lifecycle = model.session.followAppLifecycle() }
      #endif
      .onDisappear { model.leave() }
    }
  }

  /// The participants and the state of the connection.
  struct ChatHeader: View {
    let model: ChatModel
    @Binding var isSharing: Bool

    var body: some View {
      HStack {
        Text(model.badge).font(.caption.monospaced())
        Spacer()
        Text("\(model.nickname) · \(model.participants) here")
        Spacer()
        Text(model.connection.state.rawValue.replacingOccurrences(of: "_", with: " "))
          .foregroundStyle(model.connection.state == .live ? .green : .orange)
        Button("Share", systemImage: "qrcode") { isSharing = true }.labelStyle(.iconOnly)
      }
      .padding(8)
    }
  }

  /// The lines, scrolled to the last one.
  struct ChatLines: View {
    let model: ChatModel

    var body: some View {
      ScrollViewReader { scroller in
        ScrollView {
          LazyVStack(alignment: .leading, spacing: 4) {
            ForEach(model.lines) { line in
              Text(verbatim: line.text)
                .italic(line.writer == nil)
                .frame(maxWidth: .infinity, alignment: .leading)
                .id(line.id)
            }
          }
          .padding(8)
        }
        .onChange(of: model.lines.last?.id) { _, last in
          if let last { scroller.scrollTo(last, anchor: .bottom) }
        }
      }
    }
  }

  /// The text field.
  struct ChatInput: View {
    @Bindable var model: ChatModel

    var body: some View {
      TextField("Message, or /reset", text: $model.draft)
        .textFieldStyle(.roundedBorder)
        .onSubmit { model.send() }
        .onChange(of: model.draft) { _, draft in model.setTyping(!draft.isEmpty) }
        .padding(8)
    }
  }

  /// The link as a QR code, and a button to share it.
  struct ShareRoom: View {
    let link: String

    var body: some View {
      VStack(spacing: 16) {
        if let code = try? QRCode(link) { QRCodeView(code: code) }
        ShareLink(item: link)
      }
      .padding(24)
    }
  }

  /// A QR code with its quiet zone.
  struct QRCodeView: View {
    /// The number of light modules around the code.
    private static let quiet = 4
    let code: QRCode

    var body: some View {
      Canvas { context, size in
        let modules = code.side + 2 * Self.quiet
        let module = min(size.width, size.height) / Double(modules)
        context.fill(Path(CGRect(origin: .zero, size: size)), with: .color(.white))
        for row in 0..<code.side {
          for column in 0..<code.side where code[row: row, column: column] {
            let place = CGRect(
              x: Double(column + Self.quiet) * module, y: Double(row + Self.quiet) * module,
              width: module, height: module)
            context.fill(Path(place), with: .color(.black))
          }
        }
      }
      .aspectRatio(1, contentMode: .fit)
      .frame(maxWidth: 320)
      .accessibilityLabel("QR code of the join link")
    }
  }
#endif
