// What an entry takes, and how soon memory is back.

import Glibc

extension Measure {
    static let memory = Measure(name: "memory") { bench in
        let all = bench.contenders
        let keys = bench.parameters.memoryKeys
        var finding = Finding()
        for (number, valueBytes, limits) in [(8, 32, (32.0, 42.0)), (9, 100, (34.0, 44.0))] {
            var lines: [[String]] = []
            var mine: [Double] = []
            for contender in [all.larder, all.valkey, all.redis, all.memcached] where bench.isHere(contender) {
                var figures: [Double] = []
                for lifetime in [EntryLifetime.unlimited, .seconds(86_400)] {
                    figures.append(try overhead(bench, contender, keys, EntryForm(valueBytes: valueBytes, lifetime: lifetime)))
                }
                lines.append([contender.name] + figures.map { fixed($0, 1) })
                if contender.name == all.larder.name { mine = figures }
            }
            finding.tables.append(Table(
                title: "Bytes an entry beyond key and value: \(grouped(keys)) keys of 16 bytes, values of \(valueBytes)",
                head: ["server", "without lifetime", "with lifetime"], lines: lines,
                notes: number == 8 ? ["Growth of the resident memory, page by page (`smaps_rollup`); it does not move between runs, so it is taken once."] : []))
            finding.rows.append(Row(
                number, "bytes an entry beyond 16 + \(valueBytes), without / with lifetime",
                zip(mine, [limits.0, limits.1]).map { .atMost("", $0, $1, unit: "") }))
        }
        return finding
    }

    private static func overhead(_ bench: Bench, _ contender: Contender, _ keys: Int, _ form: EntryForm) throws -> Double {
        let server = try Server(contender)
        defer { server.stop() }
        // The buffers of connections are there before the entries.
        try bench.fill(server, 64, form)
        let before = server.residentBytes
        try Load(server, connections: 4, depth: 64).fill(64..<(keys + 64), form)
        usleep(200_000)
        return Double(server.residentBytes - before) / Double(keys) - Double(16 + form.valueBytes)
    }

    static let expiry = Measure(name: "expiry") { bench in
        let all = bench.contenders
        let keys = bench.parameters.dueKeys
        let contenders = [all.larder, all.valkey, all.redis, all.memcached].filter(bench.isHere)
        var results = [[Due]](repeating: [], count: contenders.count)
        for _ in 0..<bench.parameters.longRounds {
            for (index, contender) in contenders.enumerated() {
                // What was not back once is not waited for again.
                if let first = results[index].first, first.memory == nil { continue }
                results[index].append(try due(bench, contender, keys))
            }
        }
        let lines = zip(contenders, results).map { contender, results in
            let figures = [results.map(\.half), results.map(\.gone), results.map(\.memory)].map { $0.map { $0 ?? .infinity }.median }
            return [contender.name, fixed(figures[0], 2), fixed(figures[1], 2), figures[2].isFinite ? fixed(figures[2], 2) : "not back"]
                + [fixed(results.map(\.cpuSeconds).median, 2), "\(results.count)"]
        }
        let mine = results[0].map { $0.memory ?? .infinity }
        return Finding(
            rows: [
                Row(
                    10, "\(grouped(keys)) keys due together, until all are freed and 95 % of the resident memory is back",
                    [.atMost("", mine.median, 1, unit: " s", digits: 2)])
            ],
            tables: [
                Table(
                    title: "\(grouped(keys)) keys that fall due at the same moment",
                    head: ["server", "s until half are freed", "s until all are", "s until 95 % of the resident memory is back", "CPU, s", "rounds"],
                    lines: lines,
                    notes: [
                        """
                        Medians of the rounds, which take turns. Keys of 16 bytes, values of 32; nobody reads them; seconds after the moment. \
                        Asked every 10 ms, for at most \(Int(bench.parameters.patienceSeconds)) s; an allocator need not give memory back to the kernel.
                        """
                    ])
            ])
    }

    private struct Due {
        var half: Double?
        var gone: Double?
        var memory: Double?
        var cpuSeconds = 0.0
    }

    /// Stores keys that all fall due at one moment, and watches them go.
    private static func due(_ bench: Bench, _ contender: Contender, _ keys: Int) throws -> Due {
        let server = try Server(contender)
        defer { server.stop() }
        let first = keys / 50
        let began = monotonicSeconds()
        try bench.fill(server, first)
        let estimate = (monotonicSeconds() - began) * 50
        let base = try server.keyCount()
        let baseBytes = server.residentBytes
        let load = try Load(server, connections: 4, depth: 64)
        let moment = try load.fillBefore(estimate, keys) { moment in
            try load.fill(first..<(keys + first), EntryForm(valueBytes: 32, lifetime: .until(moment)))
        }
        let fullBytes = server.residentBytes
        while wallMilliseconds() < moment { usleep(500) }
        let usage = server.usage
        var result = Due()
        let patience = bench.parameters.patienceSeconds
        let end = monotonicSeconds() + patience
        while monotonicSeconds() < end {
            let left = try server.keyCount() - base
            let after = Double(wallMilliseconds() - moment) / 1_000
            if left <= keys / 2, result.half == nil { result.half = after }
            if left <= 0 {
                if result.gone == nil { result.gone = after }
                if server.residentBytes - baseBytes <= (fullBytes - baseBytes) / 20 {
                    result.memory = Double(wallMilliseconds() - moment) / 1_000
                    break
                }
                // What is not back so long after the last key does not come back.
                if after - (result.gone ?? 0) > patience / 6 { break }
            }
            usleep(10_000)
        }
        result.cpuSeconds = Double((server.usage - usage).nanoseconds) / 1e9
        return result
    }
}
