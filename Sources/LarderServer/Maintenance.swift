// The chores that no request pays for: freeing what expired, sweeping what was flushed, giving memory back.
//
// Works in slices: a shard is locked for a bounded number of entries, then the next. Visibility never depends on it,
// because reads compare the deadline with the time.

import LarderEngine
import LarderPlatform
import Synchronization

package final class Maintenance: Sendable {
    private let server: ServerContext
    private let stopRequested = Atomic<Bool>(false)
    /// How long one slice may take before the thread looks around again.
    static let workPerSlice = 4_096
    /// The wheel's tick, which is also how late memory may come back on an idle server.
    static let tickMilliseconds: Int64 = 10
    static let idleMilliseconds: Int64 = 100

    private let announce: @Sendable (String) -> Void

    package init(server: ServerContext, announce: @escaping @Sendable (String) -> Void) {
        self.server = server
        self.announce = announce
    }

    package func stop() { stopRequested.store(true, ordering: .releasing) }

    /// Runs until `stop()`.
    package func run() {
        Thread.lowerPriority(by: 5)
        while !stopRequested.load(ordering: .acquiring) {
            if let milliseconds = step() { Thread.sleep(milliseconds: milliseconds) }
        }
    }

    /// Does a slice of what is to be done.
    ///
    /// - Returns: How long there is nothing more to do, in milliseconds; nil when there is more at once.
    func step() -> Milliseconds? {
        let now = server.time.now()
        if server.flushes.carryOut(in: server.store, now: now) { server.log.endTurn(wantsSync: true) }
        let report = server.store.maintain(now: now, budget: Self.workPerSlice)
        server.resp.watching.wake(server.store.events)
        server.turnTimes.look(at: server.metrics, now: server.time.elapsed())
        for line in server.log.news() { announce(line) }
        if let drift = server.time.compareClocks() { announce(Self.news(ofDrift: drift)) }
        if report.hasMore { return nil }
        let due = min(report.nextDue ?? .max, server.flushes.next)
        return max(Self.tickMilliseconds, min(due, now + Self.idleMilliseconds) - now)
    }

    static func news(ofDrift drift: Milliseconds) -> String {
        if drift == 0 { return "the wall clock and the time served agree again" }
        return "the wall clock is \(drift.magnitude) ms \(drift > 0 ? "ahead of" : "behind") the time served, as when it was set or stood still; "
            + "lifetimes follow it by a hundredth of the time that passes. A restart takes it over at once, but never goes back"
    }
}
