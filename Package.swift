// swift-tools-version: 6.3
import PackageDescription

// Every room is built alike: language mode 6, unsafe expressions spelled out, existentials spelled out.
// `Lifetimes` lets a buffer hand out a `RawSpan` of itself; the compiler then proves that the span does not
// outlive the buffer (see docs/architecture.md, "Compiler settings").
let settings: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

// Tests build spans of literals freely; strict memory safety is a rule for what ships.
let testSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "larder",
    products: [.executable(name: "larder", targets: ["larder"])],
    dependencies: [
        // The command line, the settings file and the log lines: well-kept libraries, none of them on the request path.
        .package(url: "https://github.com/apple/swift-argument-parser.git", exact: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams.git", exact: "6.2.2"),
        // Latencies of the load generator, counted and written in the form that every tool reads. Never on a server's thread.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", exact: "0.2.0"),
    ],
    targets: [
        // Header-only C: what the Glibc module hides (epoll, accept4, futex) and processor instructions.
        .target(name: "CLarderIntrinsics"),
        .target(name: "CLarderSystem"),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),

        .target(name: "LarderBytes", dependencies: ["CLarderIntrinsics"], swiftSettings: settings),
        .target(name: "LarderPlatform", dependencies: ["CLarderIntrinsics", "CLarderSystem", "LarderBytes"], swiftSettings: settings),
        .target(
            name: "LarderEngine", dependencies: ["LarderBytes", "LarderPlatform", "CLarderIntrinsics"],
            swiftSettings: settings),
        .target(name: "LarderWire", dependencies: ["LarderBytes"], swiftSettings: settings),
        .target(
            name: "LarderPersistence", dependencies: ["LarderBytes", "LarderPlatform", "LarderEngine", "CZlib"],
            swiftSettings: settings),
        .target(
            name: "LarderServer",
            dependencies: ["LarderBytes", "LarderPlatform", "LarderEngine", "LarderWire", "LarderPersistence"],
            swiftSettings: settings),
        // A disk, a clock and a server's storage under a seed. Ships in nothing; built like a test.
        .target(
            name: "LarderSimulation", dependencies: ["LarderBytes", "LarderPlatform", "LarderEngine", "LarderPersistence"],
            swiftSettings: testSettings),
        .executableTarget(
            name: "larder-simulate", dependencies: ["LarderSimulation", "LarderPlatform"], swiftSettings: testSettings),

        // The load generator: requests in every dialect, latencies, and the test of recovery.
        .target(
            name: "LarderLoad",
            dependencies: [
                "LarderBytes", "LarderPlatform", "LarderWire", .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: settings),

        // The program: settings, commands, and the client behind `larder kv`. A library, so that tests can import it;
        // `larder` itself only starts it.
        .target(
            name: "LarderProgram",
            dependencies: [
                "LarderBytes", "LarderPlatform", "LarderWire", "LarderPersistence", "LarderServer", "LarderLoad",
                .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),
        .executableTarget(name: "larder", dependencies: ["LarderProgram"], swiftSettings: settings),

        // How does it compare, and does it do what was promised? `make bench-engine` runs it beside its peers, and beside a
        // loop in C that does nothing but answer.
        .executableTarget(
            name: "side-by-side",
            dependencies: [
                "LarderBytes", "LarderPlatform", "LarderWire", "LarderEngine", "LarderLoad",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Benchmarks/SideBySide", swiftSettings: testSettings),
        .executableTarget(name: "floor", path: "Benchmarks/Floor"),
        // The parts of the machine by themselves.
        .executableTarget(
            name: "micro",
            dependencies: ["LarderBytes", "LarderPlatform", "LarderWire", "LarderEngine", "LarderServer", "LarderLoad"],
            path: "Benchmarks/Micro", swiftSettings: testSettings),

        // Requests to compare caches with, and two plain caches to compare them to.
        .target(name: "CacheTraces", path: "Benchmarks/CacheTraces", swiftSettings: testSettings),
        // How often does the store miss as a cache? `scripts/compare-eviction` runs it beside libCacheSim.
        .executableTarget(
            name: "cache-ratio", dependencies: ["CacheTraces", "LarderEngine", "LarderBytes"], path: "Benchmarks/CacheRatio",
            swiftSettings: testSettings),

        // Counts memory taken from the allocator, and system calls of another process. Tests only.
        .target(name: "CTestProbe", path: "Tests/CTestProbe"),
        // What suites count, as rows of docs/reliability.md.
        .target(name: "TestFigures", path: "Tests/TestFigures", swiftSettings: testSettings),
        .testTarget(name: "LarderBytesTests", dependencies: ["LarderBytes"], swiftSettings: testSettings),
        .testTarget(name: "LarderPlatformTests", dependencies: ["LarderPlatform", "LarderBytes"], swiftSettings: testSettings),
        .testTarget(
            name: "LarderEngineTests", dependencies: ["LarderEngine", "LarderBytes", "LarderPlatform", "CacheTraces"],
            swiftSettings: testSettings),
        .testTarget(name: "LarderWireTests", dependencies: ["LarderWire", "LarderBytes"], swiftSettings: testSettings),
        .testTarget(
            name: "LarderPersistenceTests",
            dependencies: [
                "LarderPersistence", "LarderEngine", "LarderSimulation", "LarderBytes", "LarderPlatform", "CTestProbe",
            ],
            swiftSettings: testSettings),
        // The durability promise: simulated, enumerated, damaged and raced (docs/reliability.md).
        .testTarget(
            name: "LarderDurabilityTests",
            dependencies: [
                "LarderPersistence", "LarderEngine", "LarderSimulation", "LarderBytes", "LarderPlatform", "TestFigures",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "LarderServerTests",
            dependencies: [
                "LarderServer", "LarderWire", "LarderPersistence", "LarderEngine", "LarderSimulation", "LarderBytes",
                "LarderPlatform", "CTestProbe",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "LarderLoadTests",
            dependencies: [
                "LarderLoad", "LarderWire", "LarderBytes", "LarderPlatform",
                .product(name: "Histogram", package: "hdrhistogram-swift"), "larder",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "LarderProgramTests",
            dependencies: [
                "LarderProgram", "LarderServer", "LarderPersistence", "LarderEngine", "LarderLoad", "LarderWire", "LarderBytes",
                "LarderPlatform", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: testSettings),
        // The sources themselves, held against the plan of the house.
        .testTarget(name: "LarderTreeTests", swiftSettings: testSettings),
        // The program in processes of its own: killed, restarted, fed with bad input and with real data.
        .testTarget(
            name: "LarderSystemTests",
            dependencies: [
                "LarderBytes", "LarderPersistence", "LarderPlatform", "LarderSimulation", "LarderWire", "larder", "CTestProbe", "TestFigures",
            ],
            exclude: ["sdk_check.py"],
            swiftSettings: testSettings),
    ],
    swiftLanguageModes: [.v6]
)
