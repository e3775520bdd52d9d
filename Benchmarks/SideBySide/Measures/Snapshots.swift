// Snapshots of a large store that goes on serving, and starts from them.

import Glibc
import LarderPlatform
import LarderWire
import Synchronization

extension Measure {
    static let snapshot = Measure(name: "snapshot") { bench in
        let all = bench.contenders
        let keys = bench.parameters.storedKeys
        let larder = all.larder.with(all.larder.name, ["--workers", "2", "--snapshot-bytes-per-second", "0", "--snapshot-every", "0"])
        let contenders = [larder, all.valkey, all.redis].filter(bench.isHere)
        var results = [[Saved]](repeating: [], count: contenders.count)
        for _ in 0..<bench.parameters.longRounds {
            for (index, contender) in contenders.enumerated() { results[index].append(try saveAndStart(bench, contender, keys)) }
        }
        func rate(_ saved: Saved) -> Double { saved.saveRate / 1e6 }
        func extra(_ saved: Saved) -> Double { Double(saved.extraBytes) / Double(saved.heldBytes) * 100 }
        func startRate(_ saved: Saved) -> Double { Double(keys) / saved.startSeconds / 1e6 }
        let lines = zip(contenders, results).map { contender, results in
            [
                contender.name, fixed(results.map(rate).median, 2), fixed(results.map(extra).median, 1), grouped(results[0].fileBytes),
                fixed(results.map(\.startSeconds).median, 2), fixed(results.map(startRate).median, 2),
            ]
        }
        let saving: [Check] = [
            .atLeast("", results[0].map(rate).median, 1, unit: " M keys/s"), .atMost("memory + ", results[0].map(extra).median, 5, unit: " %"),
        ]
        let starting: [Check] = [.atLeast("", results[0].map(startRate).median, 2, unit: " M keys/s")]
        func each(_ figure: (Saved) -> Double) -> String { results[0].map { fixed(figure($0), 2) }.joined(separator: ", ") }
        let what = "\(grouped(keys)) keys of 16 + 100 B (JSON-like)"
        return Finding(
            rows: [Row(12, "snapshot of \(what) while serving", saving), Row(13, "restart with \(what)", starting)],
            tables: [
                Table(
                    title: "Snapshot of, and start with, \(what)",
                    head: ["server", "saved, M keys/s", "memory at most, + %", "bytes of the file", "start, s", "M keys/s"], lines: lines,
                    notes: [
                        """
                        Medians of \(results[0].count) rounds, which take turns; those of \(larder.name): \(each(rate)) and \(each(startRate)) M keys/s. \
                        On both processors, as fast as they go; meanwhile 5,000 reads a second. Valkey and Redis save by fork (`BGSAVE`); the memory of \
                        the fork that is not shared any more counts. A start counts from the program's start to its first answer from the data, \
                        the file not in the page cache where the server keeps it out of there itself (Larder).
                        """
                    ])
            ])
    }

    private struct Saved {
        var saveRate = 0.0
        var heldBytes = 1
        var extraBytes = 0
        var fileBytes = 0
        var startSeconds = 0.0
    }

    private static func saveAndStart(_ bench: Bench, _ contender: Contender, _ keys: Int) throws -> Saved {
        let server = try Server(contender, on: .all)
        defer { server.stop() }
        try bench.fill(server, keys, EntryForm(isJSON: true))
        var result = Saved()
        result.heldBytes = server.residentBytes
        server.forgetPeak()
        let saving = try save(server, keys: keys)
        result.saveRate = Double(keys) / saving.seconds
        result.extraBytes = max(server.peakBytes - result.heldBytes, 0) + saving.extraOfChildren
        result.fileBytes = size(firstMatch(contender.isLarder ? "\(server.directory)/snap-*" : "\(server.directory)/dump.rdb") ?? "")
        server.stop(removing: false)
        let began = monotonicSeconds()
        let again = try Server(contender, on: .all, directory: server.directory, secondsMax: 120)
        defer { again.stop() }
        let end = monotonicSeconds() + 120
        while !contender.isLarder, monotonicSeconds() < end, (try? again.keyCount()) != keys { usleep(1_000) }
        result.startSeconds = monotonicSeconds() - began
        let count = try again.keyCount()
        guard count == keys else { throw BenchError("\(contender.name) came back with \(count) of \(keys) keys") }
        return result
    }

    private struct Saving {
        var seconds = 0.0
        /// Memory that forks did not share at the most.
        var extraOfChildren = 0
    }

    private final class Watcher: Sendable {
        let saving = Mutex(Saving())
    }

    /// Takes a snapshot under a light load.
    private static func save(_ server: Server, keys: Int) throws -> Saving {
        let (port, process) = (server.port, server.process)
        let load = OpenLoad(server, connections: 10, rate: 5_000, keys: keys, seconds: 120)
        if server.contender.isLarder {
            _ = try load.run { try? askForSnapshot(port: port) }
            let took = (try server.metrics()["larder_snapshot_milliseconds"] ?? 0) / 1_000
            guard took > 0 else { throw BenchError("no snapshot was taken") }
            return Saving(seconds: took)
        }
        let watcher = Watcher()
        _ = try load.run {
            let began = monotonicSeconds()
            // An answer that begins in a plus says that the fork has been made.
            guard let answer = try? ask("BGSAVE\r\n", port: port, until: "\r\n"), answer.hasPrefix("+") else { return }
            while case let children = Server.children(of: process), !children.isEmpty {
                let extra = Server.privateBytes(of: children)
                watcher.saving.withLock { $0.extraOfChildren = max($0.extraOfChildren, extra) }
                usleep(10_000)
            }
            let seconds = monotonicSeconds() - began
            watcher.saving.withLock { $0.seconds = seconds }
        }
        let saving = watcher.saving.withLock { $0 }
        guard saving.seconds > 0 else { throw BenchError("\(server.contender.name) does not save") }
        return saving
    }

    static func askForSnapshot(port: UInt16) throws {
        let client = try BinaryClient(port: port)
        _ = try client.ask { BinaryRequest.snapshot(id: 2, into: &$0) }
    }

    private static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}
