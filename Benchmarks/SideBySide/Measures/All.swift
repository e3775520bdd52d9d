// The table of measures, in the order in which they run.

extension Measure {
    static let all: [Measure] = [
        get, set, resp, memcachedText, redisBenchmark, log, latency, stalls, memory, expiry, holds, snapshot, engine, http, eviction, listing, idle,
    ]
}

extension Bench {
    /// What was held fixed, who took part, and who could not.
    var head: String {
        let all = [contenders.larder, contenders.floor, contenders.valkey, contenders.redis, contenders.memcached, contenders.nginx]
        var text = """
            \(machine()). \(grouped(parameters.keys)) keys of 16 bytes in digits, values of 100 bytes, \(parameters.connections) connections \
            over loopback, server on processor 0 with one thread that serves, load on processor 1. \(parameters.rounds) rounds of \
            \(fixed(parameters.seconds, 2)) s, all servers in turn in each, after one that does not count. Processor time is that of the server's \
            process, from its own clock; ratios are of medians.

            """
        for contender in all {
            text += isHere(contender) ? "\n- \(contender.name): \(version(of: contender))" : "\n- \(contender.name): not here, so left out. \(contender.source)"
        }
        return text
    }

    /// Of the table of costs.
    var columns: [(name: String, version: String)] {
        [contenders.larder, contenders.valkey, contenders.redis, contenders.memcached, contenders.nginx].filter(isHere).map { contender in
            let numbers = version(of: contender).split { !$0.isNumber && $0 != "." }
            return (contender.name, numbers.first { $0.contains(".") }.map(String.init) ?? "")
        }
    }
}
