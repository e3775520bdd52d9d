// Figures about a store, for people and for tests.
//
// Each shard is looked at by itself, so figures that are gathered while others write belong to slightly different moments.

/// What a store holds and has done.
package struct StoreStatistics: Equatable, Sendable {
    /// Entries in memory, those included that are dead and not given back yet.
    package var entries = 0
    /// Bytes of the slots that entries and the wheels' records lie in.
    package var entryBytes = 0
    /// Bytes that the slabs hold for that, free slots and all.
    package var slabBytes = 0
    package var tableBytes = 0
    /// Bytes of the arena in use: slabs and tables.
    package var arenaBytes = 0
    /// Bytes that are free and have not been given back to the kernel.
    package var untrimmedBytes = 0
    /// Records of the wheels, those of entries that are gone included.
    package var wheelRecords = 0
    /// Entries that were erased because their deadline had come.
    package var expiredTotal = 0
    /// Entries that made room for others, and what they took.
    package var evictedEntries = 0
    package var evictedBytes = 0
    /// New entries that had been evicted not long before.
    package var ghostHits = 0
    /// Bytes outside of the arena that remember evicted keys.
    package var ghostBytes = 0
}

/// How much a namespace holds.
package struct NamespaceUsage: Equatable, Sendable {
    /// Keys; those whose deadline has passed count until they are erased, those that were flushed do not.
    package var keys = 0
    /// Bytes of their keys, values and metadata.
    package var bytes = 0
    /// What they take of memory: of this there is a limit.
    package var memoryBytes = 0
}

extension Store {
    /// - Complexity: O(shards), each locked for a moment.
    package func statistics() -> StoreStatistics {
        var sum = StoreStatistics()
        for index in 0..<shardCount { hold(index) { $0.add(to: &sum) } }
        sum.arenaBytes = arena.bytesInUse
        sum.untrimmedBytes = arena.unitsUntrimmed * PageArena.unitBytes
        return sum
    }

    /// - Complexity: O(shards), each locked for a moment.
    package func usage(of namespace: Namespace) -> NamespaceUsage {
        var sum = NamespaceUsage()
        guard namespace.state != .deleting else { return sum }
        for index in 0..<shardCount {
            hold(index) { shard in
                let share = shard.namespaces[namespace.slot]
                // A shard that has not noticed the last flush has had nothing to do with the namespace since.
                guard share.flushLSN == namespace.flushLSN else { return }
                sum.keys += share.keys
                sum.bytes += share.bytes
                sum.memoryBytes += share.charged
            }
        }
        return sum
    }
}

extension Shard {
    fileprivate func add(to sum: inout StoreStatistics) {
        sum.entries += table.count
        sum.entryBytes += slab.bytesInUse
        sum.slabBytes += slab.bytesHeld
        sum.tableBytes += table.bytesHeld
        sum.wheelRecords += wheel.recordCount
        sum.expiredTotal += expiredTotal
        for slot in 0..<queues.slots where queues.has(UInt16(slot)) {
            sum.evictedEntries += queues[UInt16(slot)].evictedEntries
            sum.evictedBytes += queues[UInt16(slot)].evictedBytes
            sum.ghostHits += queues[UInt16(slot)].ghostHits
            sum.ghostBytes += queues[UInt16(slot)].ghost.bytesHeld
        }
    }
}
