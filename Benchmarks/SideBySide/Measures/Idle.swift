// What connections take that do nothing.

import Glibc
import LarderLoad

extension Measure {
    static let idle = Measure(name: "idle") { bench in
        let count = min(bench.parameters.idleConnections, openFilesMax() - 200)
        let server = try Server(bench.contenders.larder)
        defer { server.stop() }
        try bench.fill(server, 64)
        // The first need rooms that the others share.
        let few = min(50, count / 2)
        let first = try Load(server, connections: few, depth: 1)
        _ = try first.run(.get, seconds: 0.05, keys: 64, seed: 1)
        let before = server.residentBytes
        let load = try Load(server, connections: count - few, depth: 1)
        // Each has asked for something before it rests.
        _ = try load.run(.get, seconds: bench.parameters.seconds, keys: 64, seed: 1)
        let each = Double(server.residentBytes - before) / Double(count - few)
        withExtendedLifetime((first, load)) {}
        return Finding(rows: [
            Row(
                19, "resident memory of \(grouped(count)) connections that have asked for something and rest",
                [.atMost("", each, 2_048, unit: " bytes each", digits: 0)])
        ])
    }

    private static func openFilesMax() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }
}
