// swift-tools-version: 6.0

import PackageDescription

let package = Package(
  name: "TeatimeChat",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [
    .library(name: "ChatModel", targets: ["ChatModel"]),
    .library(name: "ChatScreen", targets: ["ChatScreen"]),
    .executable(name: "teatime-chat", targets: ["teatime-chat"]),
  ],
  dependencies: [
    // A link to bindings/swift, because packages are identified by the last part of their path.
    .package(path: "teatime")
  ],
  targets: [
    .target(name: "ChatModel", dependencies: [.product(name: "Teatime", package: "teatime")]),
    .target(name: "ChatScreen", dependencies: ["ChatModel"]),
    .executableTarget(name: "teatime-chat", dependencies: ["ChatModel"]),
    .executableTarget(
      name: "teatime-hello", dependencies: [.product(name: "Teatime", package: "teatime")]),
    .executableTarget(
      name: "teatime-share", dependencies: [.product(name: "Teatime", package: "teatime")]),
    .testTarget(name: "ChatModelTests", dependencies: ["ChatModel", "teatime-chat"]),
  ],
  swiftLanguageModes: [.v6]
)
