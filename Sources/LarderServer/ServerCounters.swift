// What the server has counted, as clients of Redis and memcached ask for it: since its start, or since somebody had it begin anew.
//
// The counters themselves are never reset: `StatusReport` shows them to monitors that expect them to grow.

import LarderEngine
import Synchronization

struct ServerCounters: Sendable {
    var connectionsReceived: UInt64 = 0
    var connectionsRefused: UInt64 = 0
    var requests: UInt64 = 0
    var hits: UInt64 = 0
    var misses: UInt64 = 0
    /// Keys that were written.
    var puts: UInt64 = 0
    var refusals: UInt64 = 0
    var timeouts: UInt64 = 0
    var receivedBytes: UInt64 = 0
    var sentBytes: UInt64 = 0
    var expired: UInt64 = 0
    var evicted: UInt64 = 0

    init() {}

    /// Since the start.
    fileprivate init(_ context: ServerContext) {
        connectionsReceived = context.connectionsAccepted.load(ordering: .relaxed)
        connectionsRefused = context.connectionsRefused.load(ordering: .relaxed)
        requests = context.requests
        for metrics in context.metrics {
            hits &+= metrics.hits.total
            misses &+= metrics.misses.total
            puts &+= metrics.puts.total &+ metrics.putsTogether.total
            refusals &+= metrics.refusals.total
            timeouts &+= metrics.timeouts.total
            receivedBytes &+= metrics.receivedBytes.total
            sentBytes &+= metrics.sentBytes.total
        }
        let statistics = context.store.statistics()
        expired = UInt64(clamping: statistics.expiredTotal)
        evicted = UInt64(clamping: statistics.evictedEntries)
    }

    fileprivate mutating func subtract(_ other: ServerCounters) {
        connectionsReceived &-= other.connectionsReceived
        connectionsRefused &-= other.connectionsRefused
        requests &-= other.requests
        hits &-= other.hits
        misses &-= other.misses
        puts &-= other.puts
        refusals &-= other.refusals
        timeouts &-= other.timeouts
        receivedBytes &-= other.receivedBytes
        sentBytes &-= other.sentBytes
        expired &-= other.expired
        evicted &-= other.evicted
    }
}

extension ServerContext {
    /// What was counted since `forgetCounters`.
    var counters: ServerCounters {
        // First what is subtracted: in the meantime it only grows.
        let forgotten = forgottenCounters.withLock { $0 }
        var counters = ServerCounters(self)
        counters.subtract(forgotten)
        return counters
    }

    /// Lets INFO and `stats` count from 0 again (CONFIG RESETSTAT, `stats reset`).
    func forgetCounters() {
        let counters = ServerCounters(self)
        forgottenCounters.withLock { $0 = counters }
    }
}
