// How long a request takes at a fixed rate: quiet, and while the server has other things to do.

import Glibc
import LarderLoad

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
                let latencies = try OpenLoad(
                    server, connections: bench.parameters.connections, rate: rate, keys: bench.parameters.keys,
                    seconds: bench.parameters.seconds, seed: UInt64(round)
                ).run()
                guard round > 0 else { continue }
                middle[index].append(latencies.microseconds(50))
                high[index].append(latencies.microseconds(99))
                highest[index].append(latencies.microseconds(99.9))
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
            var figures: [Double] = []
            func watch(_ seconds: Double, _ work: (@Sendable () -> Void)? = nil) throws {
                let load = OpenLoad(
                    server, connections: bench.parameters.connections, rate: rate, keys: bench.parameters.keys, seconds: seconds)
                figures.append(try load.run(during: work).microseconds(99.9))
            }
            try watch(quietSeconds)
            try whileSnapshot(server, watch)
            try whileExpiring(bench, server, watch)
            try whileGrowing(bench, server, watch)
            lines.append([contender.name] + figures.map { fixed($0, 0) })
            guard contender.name == all.larder.name else { continue }
            let limit = max(figures[0] * 2, figures[0] + 1_000) / 1_000
            for (name, figure) in zip(["snapshot ", "expiry ", "growth "], figures.dropFirst()) {
                checks.append(.atMost(name, figure / 1_000, limit, unit: " ms", digits: 2))
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
                        One run of each server. All of it on processor 0, its other threads and its forks included; snapshots as fast as the settings' defaults let \
                        them. Expiry: \(grouped(bench.parameters.dueKeys)) keys that fall due in one second, and the two seconds after. Growth: another client \
                        writes \(grouped(bench.parameters.keys)) new keys meanwhile, a thousand every 2 ms or so.
                        """
                    ])
            ])
    }

    private typealias Watch = (_ seconds: Double, _ work: (@Sendable () -> Void)?) throws -> Void

    private static func whileSnapshot(_ server: Server, _ watch: Watch) throws {
        let (port, process) = (server.port, server.process)
        if server.contender.isLarder { return try watch(60) { try? askForSnapshot(port: port) } }
        // The answer comes when the fork has been made, which is the longest stall of all: it has to fall into the watch.
        try watch(60) {
            _ = try? ask("BGSAVE\r\n", port: port, until: "\r\n")
            while !Server.children(of: process).isEmpty { usleep(5_000) }
        }
    }

    private static func whileExpiring(_ bench: Bench, _ server: Server, _ watch: Watch) throws {
        let keys = bench.parameters.dueKeys
        let base = bench.parameters.keys
        let load = try Load(server, connections: 4, depth: 64)
        // How fast it stores decides how far off the second has to be.
        let began = monotonicSeconds()
        try load.fill(base..<(base + keys / 50), EntryForm(valueBytes: 32))
        let estimate = (monotonicSeconds() - began) * 50
        let second = try load.fillBefore(estimate, keys) { second in
            for part in 0..<50 {
                let slice = (base + keys * part / 50)..<(base + keys * (part + 1) / 50)
                try load.fill(slice, EntryForm(valueBytes: 32, lifetime: .until(second + Int64(part * 20))))
            }
        }
        while wallMilliseconds() < second - 100 { usleep(1_000) }
        try watch(0.1 + bench.parameters.seconds * 3, nil)
    }

    private static func whileGrowing(_ bench: Bench, _ server: Server, _ watch: Watch) throws {
        let keys = bench.parameters.keys
        // In small pieces with pauses: the growth is to be seen, not the other client's share of the processors.
        let pieces = max(keys / 1_000, 1)
        let (port, manner) = (server.port, server.contender.manner)
        try watch(60) {
            guard let load = try? Load(port: port, manner, connections: 1, depth: 32) else { return }
            let first = 10 * keys
            for part in 0..<pieces {
                try? load.fill((first + keys * part / pieces)..<(first + keys * (part + 1) / pieces), EntryForm(valueBytes: 32))
                usleep(2_000)
            }
        }
    }
}
