// When the entries of a shard are given back: the wheel's side of a write, and of upkeep.

import LarderPlatform

extension Shard {
    /// Erases what is due, as far as `work` allows.
    ///
    /// - Parameter work: How many records may be looked at; less what was, on return.
    /// - Returns: Whether there is more to do at `now`.
    mutating func expire(now: Milliseconds, work: inout Int) -> Bool {
        guard wheel.hasWork(at: now) else { return false }
        let records = wheel.recordCount
        while work > 0 {
            let due = wheel.advance(to: now, budget: &work, &slab)
            if due.count == 0 { break }
            eraseDue(due)
            expiredTotal &+= due.count
            // One that also stands in an order of keys costs a search there.
            work &-= due.count &* (indexes.isEmpty ? 1 : 4)
        }
        if work > 0 { _ = wheel.weed(budget: &work, &slab) }
        // The last chunk in reserve goes as well, or it would hold a page for nothing.
        if records > 0 && wheel.recordCount == 0 { wheel.removeAll(&slab) }
        return wheel.hasWork(at: now)
    }

    /// The wheel has looked at the entries, so they are near; their buckets are asked for together.
    private mutating func eraseDue(_ due: TimingWheel.Batch) {
        var positions = InlineArray<14, TablePosition>(repeating: TablePosition(KeyHash(value: 0), shardBits: 0))
        for index in 0..<due.count {
            positions[index] = table.position(table.entry(due[index]))
            table.prefetch(positions[index])
        }
        for index in 0..<due.count {
            noteMissing(table.entry(due[index]).lsn)
            events.tellGone(.expired, table.entry(due[index]))
            erase(due[index], positions[index])
        }
    }
}
