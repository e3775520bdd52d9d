import Foundation
import LarderBytes
import LarderWire
import TestFigures
import Testing

/// The power is cut under the real program on real file systems, again and again in one directory (docs/reliability.md).
@Suite("Power cuts", .serialized) struct PowerCutTests {
    /// How many on each file system: so many with `always`, half of them with `interval`, and one with `never`.
    static let cuts = scale("LARDER_POWER_CUTS", 10)
    static let seed = UInt64(scale("LARDER_SEED", 1))

    // MARK: always

    @Test(arguments: LoopDisk.available)
    func `what always acknowledged is there after the power was cut`(kind: LoopDisk.Kind) throws {
        let began = ContinuousClock.now
        var random = SeededRandom(Self.seed)
        let disk = try LoopDisk(kind)
        let notes = ServerProcess.freshDirectory()
        defer { try? FileManager.default.removeItem(atPath: notes) }
        // Small limits, so that the power also goes while snapshots are written and the log is cut.
        let server = ServerProcess(
            directory: disk.path, arguments: ["--durability", "always", "--snapshot-log-bytes", "1MiB", "--snapshot-bytes-per-second", "0"])
        try server.start()
        var total = RecordedLoad.Judgement()
        var acknowledged = 0
        for cut in 0..<Self.cuts {
            let load = try RecordedLoad(server, in: notes, dialect: cut % 2 == 0 ? "binary" : "http", seed: random.next())
            load.wait(for: 100)
            // The moment of the cut is what is tried: any.
            usleep(UInt32(random.next() % 400_000))
            try disk.cutPower(under: server)
            load.finish()
            acknowledged += load.acknowledged
            total += try load.check(on: server)
        }
        server.kill()
        #expect(total.named == [])
        #expect(total.lost == 0 && total.wrong == 0)
        #expect(total.reads > 100 * Self.cuts, "too little was written to show anything")
        Figure(
            "power cuts on \(kind.rawValue), `always`: \(Figure.grouped(acknowledged)) acknowledged, \(Figure.grouped(total.reads)) keys read",
            Self.cuts, "cuts", lost: total.lost, wrong: total.wrong, seeds: Self.seed...Self.seed
        ).record("51-power-always-\(kind.rawValue)", since: began)
    }

    @Test(arguments: LoopDisk.available)
    func `a server that promises what it does not sync is found out`(kind: LoopDisk.Kind) throws {
        let disk = try LoopDisk(kind)
        let notes = ServerProcess.freshDirectory()
        defer { try? FileManager.default.removeItem(atPath: notes) }
        let server = ServerProcess(directory: disk.path, arguments: ["--durability", "never"])
        try server.start()
        let load = try RecordedLoad(server, in: notes, seed: Self.seed)
        load.wait(for: 10_000)
        try disk.cutPower(under: server)
        load.finish()
        #expect(try load.check(on: server).lost > 100)
    }

    // MARK: interval

    @Test(arguments: LoopDisk.available)
    func `what interval acknowledged is there after the power was cut, but for a second of it at most`(kind: LoopDisk.Kind) throws {
        let began = ContinuousClock.now
        var random = SeededRandom(Self.seed)
        let disk = try LoopDisk(kind)
        let server = ServerProcess(directory: disk.path, arguments: ["--durability", "interval", "--snapshot-log-bytes", "16MiB"])
        try server.start()
        var (acknowledged, gone, holes) = (0, 0, 0)
        var longest = Duration.zero
        let cuts = (Self.cuts + 1) / 2
        for cut in 0..<cuts {
            let diaries = (0..<4).map { Diary("cut/\(cut)/\($0)/") }
            let port = server.port
            let threads = diaries.map { diary in
                let done = DispatchSemaphore(value: 0)
                Thread {
                    diary.run(port: port)
                    done.signal()
                }.start()
                return done
            }
            // Any moment, after enough was written to lose some of it.
            usleep(200_000 + UInt32(random.next() % 1_300_000))
            try disk.cutPower(under: server)
            for done in threads { done.wait() }
            for diary in diaries {
                let found = try diary.read(port: server.port)
                holes += found.holes
                let lost = diary.acknowledged.dropFirst(found.kept)
                gone += lost.count
                acknowledged += diary.acknowledged.count
                if let first = lost.first, let last = lost.last { longest = max(longest, last - first) }
            }
            guard cut % 10 == 9 else { continue }
            // Every cut leaves some hundred thousand keys behind, and the disk ends somewhere.
            server.kill()
            try FileManager.default.removeItem(atPath: server.dataDirectory)
            try server.start()
        }
        server.kill()
        #expect(acknowledged > 1_000 * cuts, "too little was written to show anything")
        #expect(holes == 0, "what is there is no prefix of what was written")
        #expect(longest <= .seconds(1))
        Figure(
            "power cuts on \(kind.rawValue), `interval`: \(Figure.grouped(acknowledged)) acknowledged, \(Figure.grouped(gone)) not synced yet, "
                + "of \(Int(longest / .milliseconds(1))) ms at most",
            cuts, "cuts", lost: longest <= .seconds(1) ? 0 : gone, wrong: holes, seeds: Self.seed...Self.seed
        ).record("52-power-interval-\(kind.rawValue)", since: began)
    }
}

/// A client that writes key after key, each once, and notes when it was acknowledged.
private final class Diary: @unchecked Sendable {
    // Used by one thread at a time: the client's while it runs, then the test's.
    private let prefix: String
    private var sent = 0
    /// When the keys were acknowledged, in the order of their numbers.
    private(set) var acknowledged: [ContinuousClock.Instant] = []

    init(_ prefix: String) { self.prefix = prefix }

    private func key(_ number: Int) -> [UInt8] { Array("\(prefix)\(number)".utf8) }

    func run(port: UInt16) {
        guard let client = try? BinaryClient(port: port) else { return }
        do {
            while true {
                for _ in 0..<16 {
                    let key = key(sent)
                    client.queue { BinaryRequest.put(key.span.bytes, value: key.span.bytes, id: $0, into: &$1) }
                    sent += 1
                }
                try client.flush()
                for _ in 0..<16 {
                    guard try client.receive().answer.status == .created else { return }
                    acknowledged.append(.now)
                }
            }
        } catch {
            // The server is gone.
        }
    }

    /// How many keys from the first one are there, and how many behind the first that is not.
    func read(port: UInt16) throws -> (kept: Int, holes: Int) {
        let client = try BinaryClient(port: port)
        var (kept, holes) = (0, 0)
        for first in stride(from: 0, to: sent, by: 256) {
            let batch = first..<min(first + 256, sent)
            for number in batch {
                let key = key(number)
                client.queue { BinaryRequest.get(key.span.bytes, id: $0, into: &$1) }
            }
            try client.flush()
            for number in batch {
                let answer = try client.receive().answer
                guard answer.status == .ok else { continue }
                if number == kept, answer.value == key(number) { kept += 1 } else { holes += 1 }
            }
        }
        return (kept, holes)
    }
}
