// swift-tools-version: 6.0

import PackageDescription

#if canImport(Darwin)
  // `cargo xtask package ios` makes it on a Mac: one static library for each platform, with its header.
  let library: Target = .binaryTarget(name: "TeatimeFFIFFI", path: "native/Teatime.xcframework")
  // The reasons that Apple demands for some calls of the library.
  let (resources, excluded): ([Resource], [String]) = ([.copy("PrivacyInfo.xcprivacy")], [])
#else
  // The static library of this machine; PKG_CONFIG_PATH must name the folder `native`.
  let library: Target = .systemLibrary(name: "TeatimeFFIFFI", pkgConfig: "teatime-mobile")
  let (resources, excluded): ([Resource], [String]) = ([], ["PrivacyInfo.xcprivacy"])
#endif

let package = Package(
  name: "Teatime",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [
    .library(name: "Teatime", targets: ["Teatime"]),
    .executable(name: "teatime-bench", targets: ["TeatimeBench"]),
  ],
  targets: [
    library,
    // Generated code. Apps do not call it.
    .target(
      name: "TeatimeFFI",
      dependencies: ["TeatimeFFIFFI"],
      swiftSettings: [.swiftLanguageMode(.v5)]
    ),
    .target(
      name: "Teatime",
      dependencies: [
        "TeatimeFFI", .target(name: "ObservationLink", condition: .when(platforms: [.linux])),
      ],
      exclude: excluded,
      resources: resources
    ),
    // A function that the Observation library of Swift 6.0 for Linux needs.
    .target(name: "ObservationLink"),
    .executableTarget(name: "TeatimeBench", dependencies: ["Teatime"]),
    .testTarget(name: "TeatimeTests", dependencies: ["Teatime", "TeatimeFFI"]),
    // The tests start it, and freeze it.
    .executableTarget(
      name: "TeatimeFrozen", dependencies: ["Teatime"], path: "Tests/TeatimeFrozen"),
  ],
  swiftLanguageModes: [.v6]
)

// Tests with models of their own need a library with these models: `cargo xtask swift --crate tests/app`.
if Context.environment["TEATIME_TEST_APP"] != nil {
  package.targets.append(.testTarget(name: "TestAppTests", dependencies: ["Teatime"]))
}
