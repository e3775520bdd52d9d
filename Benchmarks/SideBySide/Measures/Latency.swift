// How long a request takes at a fixed rate: quiet, and while the server has other things to do.

import Glibc
import LarderBytes
import LarderPlatform
import LarderWire

extension Measure {
    static let latency = Measure(name: "latency") { bench in
        let all = bench.contenders
        let servers = try bench.start([all.larder, all.valkey, all.redis, all.memcached])
        for server in servers { try bench.fill(server, bench.parameters.keys) }
        // Half of what the slowest can take.
        let capacity = try bench.costs(servers, .get, depth: 1, rounds: min(bench.parameters.rounds, 3)).map(\.rate).min() ?? 0
        let rate = capacity / 2
        var middle = [[Double]](repeating: [], count: servers.count)
        var high = middle, highest = middle
        for round in 0...bench.parameters.rounds {
            for (index, server) in servers.enumerated() {
                let load = try Load(server, connections: bench.parameters.connections, depth: 1)
                let latencies = try load.runOpen(rate: rate, keys: bench.parameters.keys, seed: UInt64(round)) {
                    $0 < bench.parameters.seconds
                }.sorted()
                guard round > 0 else { continue }
                middle[index].append(Double(latencies.percentile(0.5)) / 1_000)
                high[index].append(Double(latencies.percentile(0.99)) / 1_000)
                highest[index].append(Double(latencies.percentile(0.999)) / 1_000)
            }
        }
        let best = high.dropFirst().map(\.median).min()
        let checks = best.map { [Check.ratio("p99 ", high[0].median, to: "the best peer", $0, atMost: 1.1, tie: 0.07)] } ?? []
        return Finding(
            rows: [Row(6, "p99 of GET at \(grouped(Int(rate))) a second, half of the slowest server's capacity", checks)],
            tables: [
                Table(
                    title: "GET of 100 bytes at \(grouped(Int(rate))) a second, microseconds from when each was to be sent",
                    head: ["server", "p50", "p99", "p99.9"],
                    lines: servers.indices.map {
                        [servers[$0].contender.name, fixed(middle[$0].median, 0), fixed(high[$0].median, 0), fixed(highest[$0].median, 0)]
                    }, notes: ["Medians over the rounds."])
            ])
    }

    /// Reads at a fixed rate go on while something else happens.
    static let stalls = Measure(name: "stalls") { bench in
        let all = bench.contenders
        let rate = bench.parameters.rounds > 1 ? 10_000.0 : 1_000.0
        let quietSeconds = bench.parameters.seconds * 5
        var lines: [[String]] = []
        var checks: [Check] = []
        for contender in [all.larder, all.valkey, all.redis] where bench.isHere(contender) {
            let server = try Server(contender)
            defer { server.stop() }
            try bench.fill(server, bench.parameters.keys)
            let load = try Load(server, connections: bench.parameters.connections, depth: 1)
            var figures: [Int64] = []
            func watch(_ goesOn: (Double) -> Bool) throws {
                let latencies = try load.runOpen(rate: rate, keys: bench.parameters.keys, seed: 1, while: goesOn).sorted()
                figures.append(latencies.percentile(0.999))
            }
            try watch { $0 < quietSeconds }
            try whileSnapshot(server, watch)
            try whileExpiring(bench, server, watch)
            try whileGrowing(bench, server, watch)
            lines.append([contender.name] + figures.map { fixed(Double($0) / 1_000, 0) })
            guard contender.name == all.larder.name else { continue }
            let limit = Double(max(figures[0] * 2, figures[0] + 1_000_000)) / 1e6
            for (name, figure) in zip(["snapshot ", "expiry ", "growth "], figures.dropFirst()) {
                checks.append(.atMost(name, Double(figure) / 1e6, limit, unit: " ms", digits: 2))
            }
        }
        return Finding(
            rows: [Row(7, "p99.9 of GET during a snapshot, expiry of \(grouped(bench.parameters.dueKeys)) keys in one second, table growth", checks)],
            tables: [
                Table(
                    title: "p99.9 of GET at \(grouped(Int(rate))) a second, microseconds, while something else happens",
                    head: ["server", "quiet", "snapshot", "expiry", "growth"], lines: lines,
                    notes: [
                        """
                        All of the server on processor 0, its other threads and its forks included; snapshots as fast as the settings' defaults let \
                        them. Expiry: \(grouped(bench.parameters.dueKeys)) keys that fall due in one second, and the two seconds after. Growth: another client \
                        writes \(grouped(bench.parameters.keys)) new keys meanwhile, a thousand every 2 ms or so.
                        """
                    ])
            ])
    }

    private static func whileSnapshot(_ server: Server, _ watch: ((Double) -> Bool) throws -> Void) throws {
        if server.contender.isLarder {
            let done = Flag()
            let port = server.port
            let thread = try Thread(name: "snapshot") {
                try? askForSnapshot(port: port)
                done.set()
            }
            try watch { !done.isSet && $0 < 60 }
            return thread.join()
        }
        // The answer comes when the fork has been made, which is the longest stall of all: it has to fall into the watch.
        let done = Flag()
        let port = server.port
        let thread = try Thread(name: "fork") {
            usleep(200_000)
            _ = try? ask("BGSAVE\r\n", port: port, until: "\r\n")
            done.set()
        }
        var looks = 0
        try watch { seconds in
            looks += 1
            return !done.isSet || seconds < 60 && (looks % 256 != 0 || server.hasChildren)
        }
        thread.join()
    }

    private static func whileExpiring(_ bench: Bench, _ server: Server, _ watch: ((Double) -> Bool) throws -> Void) throws {
        let keys = bench.parameters.dueKeys
        let base = bench.parameters.keys
        let load = try Load(server, connections: 4, depth: 64)
        // How fast it stores decides how far off the second has to be.
        let began = monotonicSeconds()
        try load.fill(base..<(base + keys / 50), EntryForm(valueBytes: 32))
        let estimate = (monotonicSeconds() - began) * 50
        let second = wallMilliseconds() + 500 + Int64(estimate * 2_000)
        for part in 0..<50 {
            let slice = (base + keys * part / 50)..<(base + keys * (part + 1) / 50)
            try load.fill(slice, EntryForm(valueBytes: 32, lifetime: .until(second + Int64(part * 20))))
        }
        guard wallMilliseconds() < second else { throw BenchError("\(server.contender.name) took too long to store \(keys) keys") }
        while wallMilliseconds() < second - 100 { usleep(1_000) }
        try watch { _ in wallMilliseconds() < second + Int64(bench.parameters.seconds * 3_000) }
    }

    private static func whileGrowing(_ bench: Bench, _ server: Server, _ watch: ((Double) -> Bool) throws -> Void) throws {
        let keys = bench.parameters.keys
        let done = Flag()
        // In small pieces with pauses: the growth is to be seen, not the other client's share of the processors.
        let pieces = max(keys / 1_000, 1)
        let (port, dialect) = (server.port, server.contender.dialect)
        let thread = try Thread(name: "growth") {
            if let load = try? Load(port: port, dialect, connections: 1, depth: 32) {
                let first = 10 * keys
                for part in 0..<pieces {
                    try? load.fill((first + keys * part / pieces)..<(first + keys * (part + 1) / pieces), EntryForm(valueBytes: 32))
                    usleep(2_000)
                }
            }
            done.set()
        }
        try watch { !done.isSet && $0 < 60 }
        thread.join()
    }
}
