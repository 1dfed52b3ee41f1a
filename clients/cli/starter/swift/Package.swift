// swift-tools-version: 6.0

import PackageDescription

let package = Package(
  name: "tally",
  platforms: [.iOS(.v16), .macOS(.v13)],
  dependencies: [
    // ../build makes it: Teatime, with the library with the models of this app.
    .package(path: "Teatime")
  ],
  targets: [
    .systemLibrary(name: "TallyModel"),
    .executableTarget(name: "tally", dependencies: ["TallyModel", "Teatime"]),
  ]
)
