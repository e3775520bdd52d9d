// How often Larder misses as a cache, held against libCacheSim on traces that are made here.

import Glibc

extension Measure {
    /// `scripts/compare-eviction` does it, at a size of its own; libCacheSim comes from PyPI.
    static let eviction = Measure(name: "eviction") { bench in
        let row = "miss ratio on synthetic traces, caches of 1 % and 10 % of the keys"
        let keys = bench.parameters.cachedKeys
        guard keys > 0 else { return Finding(rows: [Row(16, row, notMeasured: "not in a quick run")]) }
        let file = "\(Leftovers.directory)/eviction"
        let script = "exec scripts/compare-eviction --keys \(keys) --requests \(keys * 5) > \(file)"
        let process = spawn(["sh", "-c", script])
        var status: Int32 = -1
        if process > 0 { waitpid(process, &status, 0) }
        guard status == 0 else { throw BenchError("scripts/compare-eviction does not run; it needs Python 3 and PyPI, and make bench-eviction builds for it") }
        let lines = readText(file).split(separator: "\n").dropFirst(2).map { line in
            let cells: [Substring] = line.split(separator: "|")
            return cells.map { $0.split(separator: " ").joined(separator: " ") }.filter { !$0.isEmpty }
        }.filter { $0.count == 7 }
        guard !lines.isEmpty else { throw BenchError("scripts/compare-eviction printed no table") }
        // Of the trace with sizes and lifetimes libCacheSim knows too little.
        let uniform = lines.filter { !$0[0].hasPrefix("mixed") }
        let differences = uniform.compactMap { Double($0[4]) }
        let overLRU = uniform.filter { !$0[0].hasPrefix("favour") && Double($0[2])! >= Double($0[6])! }
        return Finding(
            rows: [
                Row(
                    16, row,
                    [
                        .atMost("worst difference from libCacheSim's S3-FIFO ", differences.max() ?? .nan, 0.01, unit: "", digits: 4),
                        .atMost("traces not below its LRU, but for that whose favour moves on: ", Double(overLRU.count), 0, unit: "", digits: 0),
                    ])
            ],
            tables: [
                Table(
                    title: "Miss ratios of a cache: \(grouped(keys)) keys, \(grouped(keys * 5)) requests",
                    head: ["trace", "cache", "Larder", "libCacheSim's S3-FIFO", "difference", "plain S3-FIFO", "libCacheSim's LRU"], lines: lines,
                    notes: ["A store of 256 shards; see [eviction.md](eviction.md)."])
            ])
    }
}
