// Giving back what flushes and drops have left behind.
//
// A pass over the shard's table, in steps, after any flush; deadlines that have passed unnoticed are found by the way.

import LarderPlatform

/// How far a shard's sweeping has come.
struct SweepState {
    /// The flushes that the last whole pass began after: as many as the store had seen then.
    var swept: UInt64 = 0
    /// The same for the pass that is under way.
    var sweeping: UInt64 = 0
    var cursor: UInt64 = 0
    var isUnderWay = false
}

extension Shard {
    /// How many dead entries are noted before they are erased: a scan does not allow changes.
    private static var batchMax: Int { 64 }

    /// Sweeps on, as far as `work` allows, if there were flushes since the last pass.
    ///
    /// - Parameter flushes: How many flushes and drops the store has seen.
    /// - Returns: Whether there is more to do.
    mutating func sweep(flushes: UInt64, now: Milliseconds, work: inout Int, _ namespaces: NamespaceTable) -> Bool {
        if !sweep.isUnderWay {
            guard sweep.swept != flushes else { return false }
            sweep = SweepState(swept: sweep.swept, sweeping: flushes, cursor: 0, isUnderWay: true)
        }
        while work > 0 {
            let goesOn = sweepBucket(now, &work, namespaces)
            if !goesOn {
                sweep.swept = sweep.sweeping
                sweep.isUnderWay = false
                forgetDropped(namespaces)
                return sweep.swept != flushes
            }
        }
        return true
    }

    private mutating func sweepBucket(_ now: Milliseconds, _ work: inout Int, _ namespaces: NamespaceTable) -> Bool {
        var dead = InlineArray<64, Reference>(repeating: 0)
        var count = 0
        let before = sweep.cursor
        var cursor = before
        let goesOn = table.scan(&cursor) { reference, _ in
            let entry = table.entry(reference)
            // A slot is not given up before the last of its entries was swept, so there is a namespace; a drop is a flush.
            guard let namespace = namespaces.find(slot: entry.namespaceSlot) else { return }
            guard count < Self.batchMax, entry.lsn <= namespace.flushLSN || entry.deadline.isDue(now) else { return }
            dead[count] = reference
            count += 1
        }
        table.prefetchScan(cursor)
        for index in 0..<count {
            // Of what a flush took nothing more is told.
            events.tellGone(.expired, table.entry(dead[index]))
            eraseDead(dead[index])
        }
        work -= 4 + count
        // A bucket with more dead entries than were noted is visited again.
        if count == Self.batchMax { return true }
        sweep.cursor = cursor
        return goesOn
    }

    /// Forgets namespaces that were dropped: their slots will be others'.
    private mutating func forgetDropped(_ table: NamespaceTable) {
        for number in 0..<max(namespaces.capacity, queues.slots) {
            let slot = UInt16(number)
            if let namespace = table.find(slot: slot), namespace.state != .deleting { continue }
            if number < namespaces.capacity { namespaces[slot] = NamespaceShare() }
            if queues.has(slot) { queues[slot].forget() }
        }
    }

    /// Erases an entry that nobody can see any more.
    mutating func eraseDead(_ reference: Reference) {
        let entry = table.entry(reference)
        noteMissing(entry.lsn)
        erase(reference)
    }
}
