// `larder load` beside a server that is about to fail: it writes down what was acknowledged, and judges later what is there.

import Foundation
import Testing

/// A load in a process of its own.
final class RecordedLoad {
    /// What a check found.
    struct Judgement {
        var reads = 0
        /// Acknowledged, and nothing or something older is there.
        var lost = 0
        /// Values that never were, expired keys that live, deleted ones that are back.
        var wrong = 0
        var named: [String] = []

        static func += (total: inout Judgement, one: Judgement) {
            total.reads += one.reads
            total.lost += one.lost
            total.wrong += one.wrong
            total.named += one.named
        }
    }

    private let process = Process()
    private let file: String

    /// - Parameter directory: Where the file of acknowledgements is made; not on the disk that fails.
    init(
        _ server: ServerProcess, in directory: String, dialect: String = "binary", values: String = "uniform:40-1000", seed: UInt64
    ) throws {
        file = "\(directory)/acks-\(UUID().uuidString)"
        process.executableURL = URL(fileURLWithPath: ServerProcess.binary)
        process.arguments = [
            "load", "--server", "127.0.0.1:\(server.port)", "--quiet", "--record", file, "--duration", "60s", "--dialect", dialect,
            "--connections", "8", "--pipeline", "4", "--key-count", "2000", "--mix", "get:10,set:75,delete:15", "--ttl",
            "0:80,uniform:1s-5s:20", "--values", values, "--seed", "\(seed)",
        ]
        process.environment = ["PATH": "/usr/bin:/bin"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit { process.terminate() }

    /// How much was acknowledged and has been written down.
    var acknowledged: Int { Self.acknowledged(in: file) }

    private static func acknowledged(in file: String) -> Int {
        let bytes = (try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int) ?? 0
        return max(0, (bytes - 320) / 32)
    }

    /// Waits until a file says that so much was acknowledged, or `goesOn` that it never will. What another process has written is
    /// found out by looking, again and again.
    static func wait(for count: Int, in file: String, while goesOn: () -> Bool) {
        while acknowledged(in: file) < count, goesOn() { usleep(2_000) }
    }

    /// Waits until so much was acknowledged, `isEnough` says so, or the load is over.
    func wait(for count: Int, or isEnough: () -> Bool = { false }) {
        Self.wait(for: count, in: file) { !isEnough() && process.isRunning }
    }

    /// Waits for the load to notice that its server is gone.
    func finish() { process.waitUntilExit() }

    /// Reads everything that was promised.
    func check(on server: ServerProcess) throws -> Judgement {
        let result = ServerProcess.run(["load", "--server", "127.0.0.1:\(server.port)", "--quiet", "--check", file, "--json"])
        try #require(!result.output.isEmpty, "\(result.error)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let judged = try #require(report["judged"] as? [String: Any])
        func count(_ name: String) throws -> Int { try #require(judged[name] as? Int) }
        return Judgement(
            reads: try count("reads"), lost: try count("lost"),
            wrong: try count("wrong") + count("expired_but_alive") + count("resurrected"), named: judged["named"] as? [String] ?? [])
    }
}
