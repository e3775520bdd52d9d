// What a request costs: processor time of the server, over both protocols, with and without a log.

import LarderLoad

extension Measure {
    static let get = Measure(name: "get") { bench in
        let all = bench.contenders
        let servers = try bench.start([all.larder, all.floor, all.valkey, all.redis, all.memcached])
        for server in servers { try bench.fill(server, bench.parameters.keys) }
        var finding = Finding()

        let single = try bench.costs(servers, .get, depth: 1)
        finding.tables.append(single.table("GET of 100 bytes, 1 in flight on each connection", brief: "GET, binary, 1 in flight"))
        finding.rows.append(Row(
            1, "GET 100 B, 1 in flight",
            single.checks(all.larder, against: all.valkey, total: 0.92, user: 0.6, tie: 0.07)
                + single.checks(all.larder, against: all.floor, total: 1.2)))

        let deep = try bench.costs(servers, .get, depth: 32)
        finding.tables.append(deep.table("GET of 100 bytes, 32 in flight", brief: "GET, binary, 32 in flight"))
        finding.rows.append(Row(
            2, "GET 100 B, 32 in flight, binary",
            deep.checks(all.larder, against: all.floor, total: 1.5)
                + deep.checks(all.larder, against: all.valkey, total: 0.65, user: 0.4)))
        return finding
    }

    static let set = Measure(name: "set") { bench in
        let all = bench.contenders
        let servers = try bench.start([all.larder, all.valkey, all.redis, all.memcached])
        for server in servers { try bench.fill(server, bench.parameters.keys) }
        let costs = try bench.costs(servers, .set, depth: 32)
        return Finding(
            rows: [Row(4, "SET 100 B, 32 in flight, no log", costs.checks(all.larder, against: all.valkey, total: 0.75, user: 0.6))],
            tables: [costs.table("SET of 100 bytes, 32 in flight, no log", brief: "SET, binary, 32 in flight")])
    }

    /// What the log adds. Snapshots and rewrites are off, so that it is only the log.
    static let log = Measure(name: "log") { bench in
        let all = bench.contenders
        func larder(_ durability: String) -> Contender {
            all.larder.with("Larder, \(durability)", ["--durability", durability, "--snapshot-log-bytes", "1TiB", "--snapshot-every", "0"])
        }
        func valkey(_ policy: String) -> Contender {
            all.valkey.with(
                "Valkey, \(policy)",
                policy == "no log" ? [] : ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"])
        }
        let off = larder("off"), interval = larder("interval"), always = larder("always")
        let none = valkey("no log"), everySecond = valkey("everysec"), each = valkey("always")
        let servers = try bench.start([off, interval, always, none, everySecond, each])
        for server in servers { try bench.fill(server, bench.parameters.keys) }
        let costs = try bench.costs(servers) { server, round in
            bench.haveMemoryAtHand()
            return try bench.measure(server, .set, depth: 32, seed: UInt64(round))
        }
        var checks = costs.checks(interval, against: off, total: 1.4) + costs.checks(always, against: off, total: 1.6)
        if let none = costs[none]?.median, let second = costs[everySecond]?.median, let each = costs[each]?.median {
            checks.append(Check(text: "for comparison, Valkey's log: \(fixed(second / none, 2)) and \(fixed(each / none, 2))", isMet: true))
        }
        return Finding(
            rows: [Row(5, "SET 100 B, 32 in flight, log at an interval / always", checks)],
            tables: [
                costs.table(
                    "SET of 100 bytes, 32 in flight, with a log",
                    notes: [
                        """
                        All time of the process counts, that of the threads that write and sync the log included. Nobody takes a snapshot or \
                        rewrites a log meanwhile. Before each slice memory is touched and given back, so that the page cache has pages to take \
                        which the host of a virtual machine has not taken back.
                        """
                    ])
            ])
    }

    static let http = Measure(name: "http") { bench in
        let all = bench.contenders
        let servers = try bench.start([all.larderHTTP, all.nginx])
        for server in servers { try bench.fill(server, bench.parameters.keys) }
        let single = try bench.costs(servers, .get, depth: 1)
        let deep = try bench.costs(servers, .get, depth: 16)
        let deepest = try bench.costs(servers, .get, depth: 32)
        return Finding(
            rows: [
                Row(
                    15, "HTTP GET 100 B, keep-alive, 1 in flight / 16 pipelined",
                    single.checks(all.larderHTTP, against: all.nginx, total: 1.05, tie: 0.07)
                        + deep.checks(all.larderHTTP, against: all.nginx, total: 0.35))
            ],
            tables: [
                single.table("GET of 100 bytes over HTTP, 1 in flight", brief: "GET, HTTP, 1 in flight"),
                deep.table("GET of 100 bytes over HTTP, 16 pipelined", brief: "GET, HTTP, 16 in flight"),
                deepest.table("GET of 100 bytes over HTTP, 32 pipelined", brief: "GET, HTTP, 32 in flight"),
            ])
    }
}
