// swift-tools-version: 6.0

import PackageDescription

let package = Package(
  name: "tally",
  platforms: [.iOS(.v16), .macOS(.v13)],
  dependencies: [
    // Made by ../build: Teatime, with the library that holds the models of this app.
    .package(path: "Teatime")
  ],
  targets: [
    .systemLibrary(name: "TallyModel"),
    .executableTarget(name: "tally", dependencies: ["TallyModel", "Teatime"]),
  ]
)
