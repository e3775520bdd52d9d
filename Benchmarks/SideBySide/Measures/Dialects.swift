// The dialects of others, spoken by those who brought them and by Larder; and a client that is none of ours.

import Glibc
import LarderLoad

extension Measure {
    static let resp = Measure(name: "resp") { bench in
        let all = bench.contenders
        let costs = try DialectCosts(bench, [all.larderRESP, all.valkey, all.redis])
        let deep = costs.deepGet.checks(all.larderRESP, against: all.valkey, total: 0.8, user: 0.6)
        return Finding(
            rows: [
                Row(3, "GET 100 B, 32 in flight, RESP", deep),
                Row(20, "RESP: no dearer than Valkey and Redis, GET and SET, 1 and 32 in flight",
                    costs.checks(all.larderRESP, against: [all.valkey, all.redis])),
            ],
            tables: costs.tables("RESP"))
    }

    static let memcachedText = Measure(name: "memcached") { bench in
        let all = bench.contenders
        let costs = try DialectCosts(bench, [all.larderMemcached, all.memcached])
        return Finding(
            rows: [
                Row(21, "memcached's text: no dearer than memcached, GET and SET, 1 and 32 in flight",
                    costs.checks(all.larderMemcached, against: [all.memcached]))
            ],
            tables: costs.tables("memcached's text"))
    }

    /// As `resp`, but the requests come from `redis-benchmark`.
    static let redisBenchmark = Measure(name: "redis-benchmark") { bench in
        let question = "redis-benchmark: no dearer than Valkey and Redis, GET and SET, 1 and 32 in flight"
        guard !firstLine(of: ["redis-benchmark", "--version"]).isEmpty else {
            return Finding(rows: [Row(22, question, notMeasured: "redis-benchmark is not here; Debian `redis-tools` has it")])
        }
        let all = bench.contenders
        // Its keys have colons.
        let larder = all.larderRESP.with(all.larderRESP.name, ["--keys", "bytes"])
        let costs = try DialectCosts(bench, [larder, all.valkey, all.redis], isForeign: true)
        return Finding(
            rows: [Row(22, question, costs.checks(larder, against: [all.valkey, all.redis]))],
            tables: costs.tables("RESP, by redis-benchmark", isBrief: false))
    }
}

/// What GET and SET cost in one dialect, with one and with 32 requests in flight.
private struct DialectCosts {
    var singleGet: [Cost]
    var deepGet: [Cost]
    var singleSet: [Cost]
    var deepSet: [Cost]

    /// - Parameter isForeign: The requests are not ours but those of `redis-benchmark`.
    init(_ bench: Bench, _ contenders: [Contender], isForeign: Bool = false) throws {
        let servers = try bench.start(contenders)
        for server in servers {
            if isForeign {
                _ = try bench.redisBenchmark(server, .set, depth: 32, requests: bench.parameters.keys)
            } else {
                try bench.fill(server, bench.parameters.keys)
            }
        }
        func costs(_ operation: LoadOperation, _ depth: Int) throws -> [Cost] {
            guard isForeign else { return try bench.costs(servers, operation, depth: depth) }
            let requests = Int(bench.parameters.seconds * (depth == 1 ? 80_000 : 500_000))
            return try bench.costs(servers) { server, _ in try bench.redisBenchmark(server, operation, depth: depth, requests: requests) }
        }
        singleGet = try costs(.get, 1)
        deepGet = try costs(.get, 32)
        singleSet = try costs(.set, 1)
        deepSet = try costs(.set, 32)
    }

    /// With one in flight a total within 7 % is a tie: the kernel's part is the same for everyone.
    func checks(_ one: Contender, against others: [Contender]) -> [Check] {
        var checks: [Check] = []
        for (name, costs, tie) in [("GET 1, ", singleGet, 0.07), ("GET 32, ", deepGet, 0), ("SET 1, ", singleSet, 0.07), ("SET 32, ", deepSet, 0)] {
            for other in others {
                checks += costs.checks(one, against: other, total: 1, user: 1, tie: tie, name: name)
            }
        }
        return checks
    }

    /// - Parameter isBrief: Whether the table of costs has a line of each.
    func tables(_ dialect: String, isBrief: Bool = true) -> [Table] {
        let all = [("GET", 1, singleGet), ("GET", 32, deepGet), ("SET", 1, singleSet), ("SET", 32, deepSet)]
        return all.map { name, depth, costs in
            costs.table(
                "\(name) of 100 bytes, \(dialect), \(depth) in flight", brief: isBrief ? "\(name), \(dialect), \(depth) in flight" : nil)
        }
    }
}

extension Bench {
    /// One round of `redis-benchmark`.
    fileprivate func redisBenchmark(_ server: Server, _ operation: LoadOperation, depth: Int, requests: Int) throws -> Sample {
        let before = server.usage
        let start = monotonicSeconds()
        let process = spawn([
            "redis-benchmark", "-h", "127.0.0.1", "-p", "\(server.port)", "-c", "\(parameters.connections)", "-P", "\(depth)", "-n", "\(requests)",
            "-r", "\(parameters.keys)", "-d", "100", "-t", operation == .get ? "get" : "set", "-q",
        ])
        var status: Int32 = -1
        if process > 0 { waitpid(process, &status, 0) }
        guard status == 0 else { throw BenchError("redis-benchmark fails with \(server.contender.name)") }
        return Sample(requests: requests, seconds: monotonicSeconds() - start, usage: server.usage - before)
    }
}
