// Every entry, in bounded steps, as a snapshot wants it.
//
// An entry that is there from the first step to the last is met at least once, in a state that it had meanwhile; growth of
// a table on the way only means that some are met twice. Deadlines are not looked at: whether an entry is gone is
// for the next start to see.

import LarderBytes
import LarderPlatform

/// How far a walk has come.
package struct WalkCursor: Sendable {
    var shard = 0
    /// The place in the order of hashes where the shard's table goes on.
    var order: UInt64 = 0
    package var isAtEnd = false
    fileprivate var found: [Found] = []

    fileprivate struct Found: Sendable {
        var order: UInt64
        var reference: Reference
    }

    package init() {}
}

extension Store {
    /// Appends some of the next entries to `buffer`, as snapshot entries. One shard is locked once.
    ///
    /// - Parameter bytesMax: With so many bytes copied no further entry is begun.
    /// - Returns: How many, which may be none before the end.
    package func walk(
        _ cursor: inout WalkCursor, entriesMax: Int = 64, bytesMax: Int = 32 << 10, into buffer: inout ByteBuffer
    ) -> Int {
        guard !cursor.isAtEnd else { return 0 }
        var budget = WalkBudget(entries: entriesMax, bytesEnd: buffer.count + bytesMax, buckets: Self.bucketsPerHold)
        let before = budget.entries
        let isShardDone = hold(cursor.shard) { shard in
            holdTimes.measure(.walk) { shard.walk(&cursor, &budget, namespaces, into: &buffer) }
        }
        if isShardDone {
            cursor.shard += 1
            cursor.order = 0
            cursor.isAtEnd = cursor.shard == shardCount
        }
        return before - budget.entries
    }

    /// Where hardly anything lies, so many buckets are looked at while a shard is locked.
    private static var bucketsPerHold: Int { 64 }
}

private struct WalkBudget {
    var entries: Int
    var bytesEnd: Int
    var buckets: Int
}

extension Shard {
    /// - Returns: Whether the shard has no more.
    fileprivate func walk(
        _ cursor: inout WalkCursor, _ budget: inout WalkBudget, _ namespaces: NamespaceTable, into buffer: inout ByteBuffer
    ) -> Bool {
        while budget.entries > 0 && budget.buckets > 0 && buffer.count < budget.bytesEnd {
            budget.buckets -= 1
            cursor.found.removeAll(keepingCapacity: true)
            var next = cursor.order
            var found: [WalkCursor.Found] = []
            swap(&found, &cursor.found)
            let goesOn = table.scan(&next) { reference, position in
                found.append(WalkCursor.Found(order: position.order, reference: reference))
            }
            table.prefetchScan(next)
            // In the order of their hashes, so that a step may end between any two of them.
            found.sort { $0.order < $1.order }
            let stopped = copy(found, &budget, namespaces, into: &buffer)
            swap(&found, &cursor.found)
            if let stopped {
                cursor.order = stopped
                return false
            }
            cursor.order = next
            if !goesOn { return true }
        }
        return false
    }

    /// - Returns: Where to go on when the budget was used up on the way; nil when all were copied.
    private func copy(
        _ found: [WalkCursor.Found], _ budget: inout WalkBudget, _ namespaces: NamespaceTable, into buffer: inout ByteBuffer
    ) -> UInt64? {
        for index in found.indices {
            let isFull = budget.entries <= 0 || buffer.count >= budget.bytesEnd
            // Entries with the very same hash go together: a place in the order does not tell them apart.
            if isFull && (index == 0 || found[index].order != found[index - 1].order) { return found[index].order }
            if copy(found[index].reference, namespaces, into: &buffer) { budget.entries -= 1 }
        }
        return nil
    }

    private func copy(_ reference: Reference, _ namespaces: NamespaceTable, into buffer: inout ByteBuffer) -> Bool {
        let entry = table.entry(reference)
        guard let namespace = namespaces.find(slot: entry.namespaceSlot), namespace.state != .deleting,
            entry.lsn > namespace.flushLSN
        else { return false }
        LogRecord(
            .set, lsn: entry.lsn, namespace: namespace.number, deadline: entry.deadline, key: entry.key,
            metadata: entry.metadata, value: entry.value
        ).appendSnapshotEntry(to: &buffer, access: AccessByte(entry).rawValue)
        return true
    }
}
