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
            for index in 0..<due.count { eraseDue(due[index]) }
            expiredTotal &+= due.count
            work &-= due.count
        }
        if work > 0 { _ = wheel.weed(budget: &work, &slab) }
        // The last chunk in reserve goes as well, or it would hold a page for nothing.
        if records > 0 && wheel.recordCount == 0 { wheel.removeAll(&slab) }
        return wheel.hasWork(at: now)
    }

    private mutating func eraseDue(_ reference: Reference) {
        noteMissing(table.entry(reference).lsn)
        erase(reference)
    }
}
