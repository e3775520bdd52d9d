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
        for namespace in namespaces.all() where namespace.state != .deleting {
            let reported = namespace.budget.used(since: namespace.flushLSN)
            let known = usage(of: namespace)
            let unreported = unreported(of: namespace)
            precondition(reported + unreported.bytes == known.memoryBytes, "a namespace's memory is summed up wrong")
            // After a flush nothing is known before something is reported.
            let isKnown = namespace.budget.isKnown(since: namespace.flushLSN)
            let entries = isKnown ? namespace.budget.entries : 0
            precondition(entries + unreported.keys == known.keys, "entries are summed up wrong")
        }
    }

    private func unreported(of namespace: Namespace) -> (bytes: Int, keys: Int) {
        var sum = (bytes: 0, keys: 0)
        for index in 0..<shardCount {
            let share = hold(index) { $0.namespaces[namespace.slot] }
            guard share.flushLSN == namespace.flushLSN else { continue }
            sum.bytes += share.unreported
            sum.keys += share.unreportedKeys
        }
        return sum
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
            precondition(share.charged == known.charged, "a namespace's memory is miscounted")
        }
        for slot in 0..<self.namespaces.capacity where counted[UInt16(slot)] == nil {
            precondition(self.namespaces[UInt16(slot)].keys == 0, "keys are counted that are not there")
            precondition(self.namespaces[UInt16(slot)].charged == 0, "memory is counted that nobody has")
        }
        var queued = 0
        for slot in 0..<queues.slots where queues.has(UInt16(slot)) {
            queued += check(queues[UInt16(slot)].small, slot: UInt16(slot), isMain: false)
            queued += check(queues[UInt16(slot)].main, slot: UInt16(slot), isMain: true)
        }
        precondition(queued == linkedCount(), "an entry with links is in no queue")
    }

    /// Asserts that a queue is whole, and counts it.
    private func check(_ queue: EntryQueue, slot: UInt16, isMain: Bool) -> Int {
        var (count, bytes) = (0, 0)
        var newer: Reference = 0
        var reference = queue.newest
        while reference != 0 {
            precondition(slab.isLiveEntry(reference), "a queue refers to what is no entry")
            let entry = slab.entry(reference)
            precondition(entry.hasLinks && entry.isInMain == isMain && entry.namespaceSlot == slot, "in a queue of others")
            precondition(entry.newer == newer, "a queue is torn")
            count += 1
            bytes += chargedBytes(entry)
            precondition(count <= queue.count, "a queue has a cycle")
            newer = reference
            reference = entry.older
        }
        precondition(queue.oldest == newer && queue.count == count && queue.bytes == bytes, "a queue is miscounted")
        return count
    }

    private func linkedCount() -> Int {
        var count = 0
        var cursor: UInt64 = 0
        while table.scan(&cursor, { reference, _ in if table.entry(reference).hasLinks { count += 1 } }) {}
        return count
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
                counted[entry.namespaceSlot, default: NamespaceShare()].charged += chargedBytes(entry)
            }
        }
        precondition(seen.count == table.count, "a scan misses entries")
        precondition(armed == wheel.armedCount, "the wheel counts other entries")
        return counted
    }
}
