// Listing a large namespace: the first page, later ones, and those who want something else meanwhile. And what chores hold.

import Glibc
import Histogram
import LarderLoad
import LarderPlatform
import LarderWire

extension Measure {
    static let listing = Measure(name: "listing") { bench in
        let keys = bench.parameters.listedKeys
        var pages: [[Double]] = []
        var quiet = LatencyLimits.empty(), meanwhile = LatencyLimits.empty()
        var indexed = 0.0
        // A namespace is listed for the first time once.
        for _ in 0..<bench.parameters.lives {
            let life = try listOnce(bench, keys)
            pages.append(life.pages)
            quiet.add(life.quiet)
            meanwhile.add(life.meanwhile)
            indexed = life.indexedBytes
        }
        let first = pages.map { $0[0] }
        let later = pages.flatMap { $0.dropFirst() }
        func milliseconds(_ latencies: Latencies, _ percent: Double) -> Double { latencies.microseconds(percent) / 1_000 }
        let stall = milliseconds(meanwhile, 99.9) - milliseconds(quiet, 99.9)
        return Finding(
            rows: [
                Row(
                    17, "list of a namespace of \(grouped(keys)) keys, 1,000 a page; p99.9 of GET meanwhile less the p99.9 before",
                    [
                        .atMost("first page, cold, ", first.median, 150, unit: " ms"),
                        .atMost("p99.9 of GET + ", max(stall, 0), 1, unit: " ms", digits: 2),
                        .atMost("later pages ", later.median, 2, unit: " ms", digits: 2),
                    ])
            ],
            tables: [
                Table(
                    title: "Listing \(grouped(keys)) keys, 1,000 a page, one worker",
                    head: ["", "ms"],
                    lines: [
                        ["first page, which puts the keys in order, median", fixed(first.median, 1)],
                        ["first page, shortest", fixed(first.min() ?? .nan, 1)],
                        ["later pages, median", fixed(later.median, 2)], ["later pages, longest", fixed(later.max() ?? .nan, 2)],
                        ["GET at 10,000 a second meanwhile, p99.9", fixed(milliseconds(meanwhile, 99.9), 2)],
                        ["the same before, p99.9", fixed(milliseconds(quiet, 99.9), 2)],
                        ["GET meanwhile, longest", fixed(milliseconds(meanwhile, 100), 2)],
                        ["the same before, longest", fixed(milliseconds(quiet, 100), 2)],
                    ],
                    notes: [
                        """
                        \(pages.count) lives of a server, each of which lists once; \(grouped(Int(meanwhile.totalCount))) GETs while they do. The longest of so many is the \
                        machine's as often as not, as the figures before the listing show, so the target is held to p99.9 against p99.9. \
                        Before each listing memory is touched and given back, so that no page has to be had from the host of a virtual machine first. The order took \(fixed(indexed / Double(keys), 1)) bytes a key; a namespace that is never listed has none.
                        """
                    ])
            ])
    }

    private struct Life {
        var pages: [Double]
        var quiet: Latencies
        var meanwhile: Latencies
        var indexedBytes: Double
    }

    private static func listOnce(_ bench: Bench, _ keys: Int) throws -> Life {
        let server = try Server(bench.contenders.larder)
        defer { server.stop() }
        try bench.fill(server, keys, EntryForm(valueBytes: 32))
        let before = try server.metrics()["larder_memory_used_bytes"] ?? 0
        let port = server.port
        let pages = Pages()
        func load(seconds: Double) -> OpenLoad { OpenLoad(server, connections: 10, rate: 10_000, keys: keys, seconds: seconds) }
        let quiet = try load(seconds: bench.parameters.seconds).run()
        bench.haveMemoryAtHand()
        let meanwhile = try load(seconds: 60).run { try? list(port: port, count: 21, into: pages) }
        let all = pages.milliseconds
        guard all.count == min(21, (keys + 999) / 1_000) else { throw BenchError("\(all.count) pages were listed") }
        let indexed = (try server.metrics()["larder_memory_used_bytes"] ?? 0) - before
        return Life(pages: all, quiet: quiet, meanwhile: meanwhile, indexedBytes: indexed)
    }

    private final class Pages: @unchecked Sendable {
        // Unchecked: read when the thread that writes has ended.
        var milliseconds: [Double] = []
    }

    private static func list(port: UInt16, count: Int, into pages: Pages) throws {
        let client = try BinaryClient(port: port)
        var cursor: [UInt8] = []
        for _ in 0..<count {
            let began = monotonicNanoseconds()
            let answer = try client.ask { BinaryRequest.list(cursor: cursor.span.bytes, limit: 1_000, id: 2, into: &$0) }
            pages.milliseconds.append(Double(monotonicNanoseconds() - began) / 1e6)
            var page = try BinaryListPage(answer, withValues: false, in: client.input)
            // The cursor stands behind the keys.
            while try page.next(in: client.input) != nil {}
            cursor = client.bytes(page.cursor)
            if cursor.isEmpty { return }
        }
    }

    /// What the other measures did to the locks: every chore once, then the server's own figures.
    static let holds = Measure(name: "holds") { bench in
        let keys = bench.parameters.dueKeys
        let lives = try (0..<bench.parameters.lives).map { _ in try longestHolds(bench, keys) }
        let medians = chores.indices.map { chore in lives.map { $0[chore] }.median }
        let names = ["upkeep ", "snapshot ", "listing "]
        return Finding(
            rows: [
                Row(
                    11, "longest hold of a shard by a chore, its own processor time, in the median of \(lives.count) lives",
                    zip(names, medians).map { .atMost($0, $1, 0.3, unit: " ms", digits: 3) })
            ],
            tables: [
                Table(
                    title: "Longest hold of a shard, ms of the holder's processor time",
                    head: ["chore"] + lives.indices.map { "life \($0 + 1)" },
                    lines: chores.indices.map { chore in [chores[chore].text] + lives.map { fixed($0[chore], 3) } }
                        + [["the same pieces of arithmetic, in this program"] + lives.map { fixed($0[chores.count], 3) }],
                    notes: [
                        """
                        \(grouped(2 * keys)) keys of 16 + 100 bytes, half of them due at one moment, a snapshot, a listing. The kernel charges \
                        a thread with the interrupts that come while it runs, so a longest time is in part the machine's: the last line does \
                        pieces of some 20 us that need no memory, and tells how far apart the longest of them is. The median life is held \
                        to the target.
                        """
                    ])
            ])
    }

    private static let chores = [
        (name: "upkeep", text: "expiry, sweeping, tables on the move"), (name: "walk", text: "snapshot"), (name: "listing", text: "keys put in order"),
    ]

    /// What a life of a server has held at most, in ms, for each chore; and what arithmetic took meanwhile.
    private static func longestHolds(_ bench: Bench, _ keys: Int) throws -> [Double] {
        let server = try Server(bench.contenders.larder, on: .all)
        defer { server.stop() }
        let load = try Load(server, connections: 4, depth: 64)
        let began = monotonicSeconds()
        try load.fill(0..<keys, EntryForm(valueBytes: 100))
        let moment = wallMilliseconds() + 500 + Int64((monotonicSeconds() - began) * 2_000)
        try load.fill(keys..<(2 * keys), EntryForm(valueBytes: 100, lifetime: .until(moment)))
        bench.haveMemoryAtHand()
        try askForSnapshot(port: server.port)
        let pages = Pages()
        try list(port: server.port, count: 3, into: pages)
        let end = monotonicSeconds() + 60
        var longest: Int64 = 0
        repeat { longest = max(longest, longestPiece(seconds: 1)) } while try monotonicSeconds() < end && server.keyCount() > keys
        let figures = try server.metrics()
        return chores.map { (figures["larder_longest_hold_\($0.name)_nanoseconds"] ?? .nan) / 1e6 } + [Double(longest) / 1e6]
    }

    /// The longest of many equal pieces of arithmetic, in nanoseconds of this thread's processor time.
    private static func longestPiece(seconds: Double) -> Int64 {
        let end = monotonicSeconds() + seconds
        var longest: Int64 = 0
        var random: UInt64 = 1
        while monotonicSeconds() < end {
            let began = Thread.nanoseconds()
            for _ in 0..<10_000 {
                random ^= random << 13
                random ^= random >> 7
                random ^= random << 17
            }
            longest = max(longest, Thread.nanoseconds() - began)
        }
        precondition(random != 0, "it never is")
        return longest
    }
}
