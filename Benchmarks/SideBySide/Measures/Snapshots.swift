// Snapshots of a large store that goes on serving, and starts from them.

import Glibc
import LarderBytes
import LarderPlatform
import LarderWire
import Synchronization

/// Something that another thread says once.
final class Flag: Sendable {
    private let word = Atomic<Bool>(false)
    var isSet: Bool { word.load(ordering: .acquiring) }
    func set() { word.store(true, ordering: .releasing) }
}

extension Measure {
    static let snapshot = Measure(name: "snapshot") { bench in
        let all = bench.contenders
        let keys = bench.parameters.storedKeys
        var lines: [[String]] = []
        var saving: [Check] = []
        var starting: [Check] = []
        let larder = all.larder.with(all.larder.name, ["--workers", "2", "--snapshot-bytes-per-second", "0", "--snapshot-every", "0"])
        for contender in [larder, all.valkey, all.redis] where bench.isHere(contender) {
            let result = try saveAndStart(bench, contender, keys)
            lines.append([
                contender.name, fixed(result.saveRate / 1e6, 2), fixed(Double(result.extraBytes) / Double(result.heldBytes) * 100, 1),
                grouped(result.fileBytes), fixed(result.startSeconds, 2), fixed(Double(keys) / result.startSeconds / 1e6, 2),
            ])
            guard contender.name == larder.name else { continue }
            saving = [
                .atLeast("", result.saveRate / 1e6, 1, unit: " M keys/s"),
                .atMost("memory + ", Double(result.extraBytes) / Double(result.heldBytes) * 100, 5, unit: " %"),
            ]
            starting = [.atLeast("", Double(keys) / result.startSeconds / 1e6, 2, unit: " M keys/s")]
        }
        let what = "\(grouped(keys)) keys of 16 + 100 B (JSON-like)"
        return Finding(
            rows: [Row(12, "snapshot of \(what) while serving", saving), Row(13, "restart with \(what)", starting)],
            tables: [
                Table(
                    title: "Snapshot of, and start with, \(what)",
                    head: ["server", "saved, M keys/s", "memory at most, + %", "bytes of the file", "start, s", "M keys/s"], lines: lines,
                    notes: [
                        """
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
        result.saveRate = Double(keys) / (try save(server, keys: keys))
        result.extraBytes = max(server.peakBytes - result.heldBytes, 0) + extraOfChildren
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

    private nonisolated(unsafe) static var extraOfChildren = 0

    /// Takes a snapshot under a light load and returns how long it took, in seconds.
    private static func save(_ server: Server, keys: Int) throws -> Double {
        extraOfChildren = 0
        let began = monotonicSeconds()
        if server.contender.isLarder {
            let done = Flag()
            let port = server.port
            let thread = try Thread(name: "snapshot") {
                _ = try? askForSnapshot(port: port)
                done.set()
            }
            _ = try Load(server, connections: 10, depth: 1)
                .runOpen(rate: 5_000, keys: keys, seed: 1, spins: false) { !done.isSet && $0 < 120 }
            thread.join()
            let took = (try server.metrics()["larder_snapshot_milliseconds"] ?? 0) / 1_000
            guard took > 0 else { throw BenchError("no snapshot was taken") }
            return took
        }
        // An answer that begins in a plus says that the fork has been made.
        guard try server.ask("BGSAVE\r\n", until: "\r\n").hasPrefix("+") else { throw BenchError("\(server.contender.name) does not save") }
        var looks = 0
        _ = try Load(server, connections: 10, depth: 1).runOpen(rate: 5_000, keys: keys, seed: 1, spins: false) { seconds in
            looks += 1
            guard looks % 16 == 0 else { return true }
            extraOfChildren = max(extraOfChildren, server.privateBytesOfChildren)
            return seconds < 120 && server.hasChildren
        }
        return monotonicSeconds() - began
    }

    static func askForSnapshot(port: UInt16) throws {
        let connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 120_000)
        var request = ByteBuffer()
        BinaryRequest.hello(id: 1, into: &request)
        BinaryRequest.snapshot(id: 2, into: &request)
        try connection.send(request.bytes)
        var answer = ByteBuffer()
        var position = 0
        for _ in 0..<2 {
            var isComplete = false
            while !isComplete {
                if let length = try Dialect.larder.replyLength(answer.bytes, position), position + length <= answer.count {
                    position += length
                    isComplete = true
                } else {
                    try connection.receive(into: &answer)
                }
            }
        }
    }

    private static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}
