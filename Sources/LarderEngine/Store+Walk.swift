// Every entry, in bounded steps, as a snapshot wants it.
//
// An entry that is there from the first step to the last is met at least once, in a state that it had meanwhile; growth of
// a table on the way only means that some are met twice. Deadlines are not looked at: whether an entry is gone is
// for the next start to see.

import LarderBytes
import LarderPlatform

/// How far a walk has come.
package struct WalkCursor: ~Copyable, Sendable {
    var shard = 0
    /// The place in the order of hashes where the shard's table goes on.
    var order: UInt64 = 0
    package var isAtEnd = false
    fileprivate var found: [Found] = []
    /// The entry at `order`, if its value is being copied in slices.
    fileprivate var large: LargeEntry?
    /// What there is of it, as in a snapshot.
    fileprivate var copied = ByteBuffer()
    /// How often the entry at `order` has changed while it was copied.
    fileprivate var restarts = 0

    fileprivate struct Found: Sendable {
        var order: UInt64
        var reference: Reference
    }

    fileprivate struct LargeEntry: Sendable {
        let reference: Reference
        /// Of one write: what has it is what was begun with.
        let lsn: LSN
        var valueBytes = 0
    }

    package init() {}

    /// Who writes a key all the time does not keep a walk from its end: then the value is copied at once.
    fileprivate static let restartsMax = 4
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
        if cursor.large != nil { return copySlice(&cursor, into: &buffer) }
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

    /// Copies the next slice of a large entry, and appends the entry when that was the last one.
    private func copySlice(_ cursor: inout WalkCursor, into buffer: inout ByteBuffer) -> Int {
        let isWhole = hold(cursor.shard) { shard in holdTimes.measure(.walk) { shard.copySlice(&cursor, namespaces) } }
        guard isWhole else { return 0 }
        buffer.append(cursor.copied)
        cursor.copied = ByteBuffer()
        cursor.large = nil
        cursor.restarts = 0
        // Nothing else has its hash, or it would not have been copied in slices.
        cursor.order += 1
        return 1
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
            let stopped = copy(found, &cursor, &budget, namespaces, into: &buffer)
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
        _ found: [WalkCursor.Found], _ cursor: inout WalkCursor, _ budget: inout WalkBudget, _ namespaces: NamespaceTable,
        into buffer: inout ByteBuffer
    ) -> UInt64? {
        for index in found.indices {
            let isFull = budget.entries <= 0 || buffer.count >= budget.bytesEnd
            // Entries with the very same hash go together: a place in the order does not tell them apart.
            if isFull && (index == 0 || found[index].order != found[index - 1].order) { return found[index].order }
            let entry = table.entry(found[index].reference)
            if entry.valueBytes > Store.sliceBytes, cursor.restarts < WalkCursor.restartsMax, isAlone(index, found) {
                cursor.large = WalkCursor.LargeEntry(reference: found[index].reference, lsn: entry.lsn)
                return found[index].order
            }
            if copy(entry, namespaces, into: &buffer) { budget.entries -= 1 }
            cursor.restarts = 0
        }
        return nil
    }

    /// Whether the walk can go on behind it.
    private func isAlone(_ index: Int, _ found: [WalkCursor.Found]) -> Bool {
        let order = found[index].order
        return order < .max && (index == 0 || found[index - 1].order != order)
            && (index + 1 == found.count || found[index + 1].order != order)
    }

    /// - Returns: Whether the entry is whole. If it is not what it was any more, the walk comes to it anew.
    fileprivate func copySlice(_ cursor: inout WalkCursor, _ namespaces: NamespaceTable) -> Bool {
        guard var large = cursor.large else { return false }
        let entry = table.entry(large.reference)
        guard slab.isLiveEntry(large.reference), entry.lsn == large.lsn,
            let namespace = namespaces.find(slot: entry.namespaceSlot), namespace.state != .deleting, entry.lsn > namespace.flushLSN
        else {
            cursor.large = nil
            cursor.copied.removeAll()
            cursor.restarts += 1
            return false
        }
        if large.valueBytes == 0 { Self.record(entry, namespace).appendSnapshotHead(to: &cursor.copied) }
        let slice = min(Store.sliceBytes, entry.valueBytes - large.valueBytes)
        cursor.copied.append(entry.value.slice(large.valueBytes, slice))
        large.valueBytes += slice
        cursor.large = large
        guard large.valueBytes == entry.valueBytes else { return false }
        cursor.copied.append(byte: AccessByte(entry).rawValue)
        return true
    }

    private func copy(_ entry: Entry, _ namespaces: NamespaceTable, into buffer: inout ByteBuffer) -> Bool {
        guard let namespace = namespaces.find(slot: entry.namespaceSlot), namespace.state != .deleting,
            entry.lsn > namespace.flushLSN
        else { return false }
        Self.record(entry, namespace).appendSnapshotEntry(to: &buffer, access: AccessByte(entry).rawValue)
        return true
    }

    @_lifetime(borrow entry)
    private static func record(_ entry: borrowing Entry, _ namespace: Namespace) -> LogRecord {
        LogRecord(
            .set, lsn: entry.lsn, namespace: namespace.number, deadline: entry.deadline, key: entry.key,
            metadata: entry.metadata, value: entry.value)
    }
}
