// What is true of a store between any two calls. Randomised tests ask after every few steps.

extension Store {
    /// Asserts that every structure is whole and that they agree with one another. O(everything); locks one shard at a time,
    /// so only the arena's total needs a store at rest.
    package func checkInvariants() {
        for index in 0..<shardCount { hold(index) { $0.checkInvariants(shardCount: shardCount, index: index, namespaces) } }
        arena.checkInvariants()
        namespaces.checkInvariants()
    }

    /// The same, and that no memory of the arena is lost. For a store that nobody uses meanwhile.
    package func checkInvariantsAtRest() {
        checkInvariants()
        let sum = statistics()
        precondition(sum.slabBytes + sum.tableBytes == sum.arenaBytes, "memory of the arena has no owner")
    }
}

extension Shard {
    fileprivate mutating func checkInvariants(shardCount: Int, index: Int, _ namespaces: NamespaceTable) {
        table.checkInvariants()
        slab.checkInvariants()
        wheel.checkInvariants(slab)
        let counted = countEntries(namespaces)
        for (slot, share) in counted {
            let known = self.namespaces[slot]
            precondition(share.keys == known.keys && share.bytes == known.bytes, "a namespace's keys are miscounted")
        }
        for slot in 0..<self.namespaces.capacity where counted[UInt16(slot)] == nil {
            precondition(self.namespaces[UInt16(slot)].keys == 0, "keys are counted that are not there")
        }
    }

    /// What there is of each namespace that was not flushed as far as the shard knows; checks each entry by the way.
    private func countEntries(_ namespaces: NamespaceTable) -> [UInt16: NamespaceShare] {
        var counted: [UInt16: NamespaceShare] = [:]
        var armed = 0
        var seen = Set<Reference>()
        var cursor: UInt64 = 0
        var goesOn = true
        while goesOn {
            goesOn = table.scan(&cursor) { reference, _ in
                precondition(seen.insert(reference).inserted, "visited twice, and nothing moved meanwhile")
                precondition(slab.isLiveEntry(reference), "the table refers to what is no entry")
                let entry = table.entry(reference)
                precondition(namespaces.find(slot: entry.namespaceSlot) != nil, "an entry of no namespace")
                precondition(entry.deadline.isNever || entry.wheelPosition != nil, "an entry that nobody would expire")
                if entry.wheelPosition != nil { armed += 1 }
                guard entry.lsn > self.namespaces[entry.namespaceSlot].flushLSN else { return }
                counted[entry.namespaceSlot, default: NamespaceShare()].keys += 1
                counted[entry.namespaceSlot, default: NamespaceShare()].bytes += Self.countedBytes(entry)
            }
        }
        precondition(seen.count == table.count, "a scan misses entries")
        precondition(armed == wheel.armedCount, "the wheel counts other entries")
        return counted
    }
}
