// Everything that nobody waits for: expiry, sweeping, moving tables and entries, giving memory back to the kernel.
//
// In steps: a shard is locked for a slice of the work at a time, and a call ends when its budget does. Any number of threads
// may call; each goes on with the next shard.

import LarderPlatform
import Synchronization

/// What a call of `maintain` leaves behind.
package struct MaintenanceReport: Equatable, Sendable {
    /// Whether there is more to do at once.
    package var hasMore: Bool
    /// When there may be something to do again if nothing happens meanwhile; nil for never.
    package var nextDue: Milliseconds?
}

extension Store {
    /// How much is done in a shard before it is unlocked: entries erased or looked at, some 10 us.
    private static let sliceMax = 64
    /// How many buckets of a table that is on the move are moved in a slice: as many entries.
    private static let bucketsPerSlice = 5
    /// How long an ordered index is kept after the last listing.
    private static let indexIdleMax: Milliseconds = 600_000
    /// How many leaves of discarded indexes are freed in a slice.
    private static let leavesPerSlice = 8
    /// How many units go back to the kernel in one call: 2 MiB.
    private static let trimUnitsMax = 512

    /// Does what is to be done at `now`, as far as `budget` allows.
    ///
    /// - Parameter budget: How many entries may be erased, looked at or moved, or a little more; at least 1.
    /// - Complexity: O(budget) and O(shards).
    package func maintain(now: Milliseconds, budget: Int) -> MaintenanceReport {
        precondition(budget > 0, "nothing can be done for nothing")
        var rest = budget
        var report = MaintenanceReport(hasMore: false, nextDue: nil)
        var idle = 0
        let isOver = makeRoomEverywhere(now: now, steps: &rest)
        // Round and round until a whole round had nothing to do.
        while rest > 0, idle < shardCount {
            if idle == 0 { arena.populateAhead() }
            let index = maintained.wrappingAdd(1, ordering: .relaxed).oldValue & (shardCount &- 1)
            var slice = min(rest, Self.sliceMax)
            let granted = slice
            let (hasMore, nextDue) = maintain(shard: index, now, &slice)
            rest -= max(granted - slice, 0)
            idle = hasMore ? 0 : idle + 1
            if let nextDue { report.nextDue = min(report.nextDue ?? .max, nextDue) }
        }
        if idle == shardCount && hasDropped { forgetDropped(swept: sweptEverywhere()) }
        report.hasMore = arena.trim(unitsMax: Self.trimUnitsMax) || idle < shardCount || isOver
        return report
    }

    private func maintain(shard index: Int, _ now: Milliseconds, _ work: inout Int) -> (hasMore: Bool, nextDue: Milliseconds?) {
        let flushes = flushes.load(ordering: .acquiring)
        return hold(index) { shard in
            // Most shards have nothing to do most of the time, and looking at a clock would be most of that.
            guard shard.hasUpkeep(now, flushes) else { return maintain(&shard, now, flushes, &work) }
            return holdTimes.measure(.upkeep) { maintain(&shard, now, flushes, &work) }
        }
    }

    private func maintain(
        _ shard: inout Shard, _ now: Milliseconds, _ flushes: UInt64, _ work: inout Int
    ) -> (hasMore: Bool, nextDue: Milliseconds?) {
        let isTidy = !shard.tidyIndexes(idleSince: now - Self.indexIdleMax, leavesMax: Self.leavesPerSlice)
        let rest = shard.maintain(now, flushes, namespaces, Self.bucketsPerSlice, &work)
        return (rest.hasMore || !isTidy, rest.nextDue)
    }

    private var hasDropped: Bool {
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        return namespaces.hasDropped
    }

    /// How many flushes and drops every shard has swept away.
    private func sweptEverywhere() -> UInt64 {
        var swept = UInt64.max
        for index in 0..<shardCount { swept = min(swept, hold(index) { $0.sweep.swept }) }
        return swept
    }
}

extension Shard {
    /// Whether there is more to do than to look, as far as that is told at a glance.
    fileprivate func hasUpkeep(_ now: Milliseconds, _ flushes: UInt64) -> Bool {
        wheel.hasWork(at: now) || sweep.isUnderWay || sweep.swept != flushes || table.isMoving || indexes.hasDiscarded
            || isCompactionDue(at: now)
    }

    fileprivate mutating func maintain(
        _ now: Milliseconds, _ flushes: UInt64, _ namespaces: NamespaceTable, _ buckets: Int, _ work: inout Int
    ) -> (hasMore: Bool, nextDue: Milliseconds?) {
        var hasMore = expire(now: now, work: &work)
        if work > 0 { hasMore = sweep(flushes: flushes, now: now, work: &work, namespaces) || hasMore }
        if work > 0 {
            let before = table.isMoving
            let goesOn = moveTable(buckets: buckets)
            // A bucket has up to a dozen entries that are looked at.
            if before || goesOn { work -= buckets * BucketArray.cellsPerBucket }
            hasMore = goesOn || hasMore
        }
        // What a flush left behind is swept, not moved.
        if work > 0 && !hasMore { hasMore = compact(now: now, work: &work) }
        return (hasMore || work <= 0, wheel.nextDue)
    }
}
