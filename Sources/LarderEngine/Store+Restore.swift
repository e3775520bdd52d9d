// Rebuilding the store from records of the log and entries of a snapshot, in whatever order they come.
//
// A record says what an entry was at its LSN; of two, the later wins, and of a record and a flush likewise. The clock has no
// say: an expired record may have to hide an older one that is not, and a later one may prolong it. So nothing here
// depends on when it runs, and doing it twice is doing it once. Only the time that stands in the log lets entries go.

import LarderBytes
import LarderPlatform
import Synchronization

extension Store {
    /// Applies any record. May be called by several threads at once, before the first live write.
    ///
    /// Records of namespaces that are not known are passed over: either the namespace was dropped later on, or its creation
    /// is still to come, and so is then everything that was written to it.
    ///
    /// - Parameter access: Of an entry from a snapshot: how it was used.
    package func apply(_ record: borrowing LogRecord, access: UInt8 = 0) {
        switch record.operation {
        case .set, .remove, .deadline: applyEntry(record, AccessByte(rawValue: access))
        case .namespaceCreate, .namespaceState: applyNamespace(record)
        case .namespaceFlush: applyFlush(record)
        case .namespaceDrop: applyDrop(record)
        case .noop: break
        }
    }

    /// The hash of the key that a record is about. Records with different hashes may be applied in any order.
    ///
    /// - Returns: nil for one about a namespace, which has to be applied after those before it and before those behind it.
    package func restoreHash(of record: borrowing LogRecord) -> KeyHash? {
        switch record.operation {
        case .set, .remove, .deadline:
            // One of an unknown namespace will be passed over, at whatever place.
            guard let namespace = namespaces.find(number: record.namespace) else { return KeyHash(value: 0) }
            return hash(namespace, record.key)
        default: return nil
        }
    }

    /// Makes tables for `entries` entries, where there are none yet, so that they need not grow step by step; they do not
    /// shrink until `reserve(entries: 0)`.
    package func reserve(entries: Int) {
        // No more than memory could hold, whatever a file says.
        let bounded = min(entries, arena.byteCount / Entry.headerBytes)
        for index in 0..<shardCount { hold(index) { $0.reserve(entries: bounded / shardCount) } }
    }

    /// Has the kernel back so many bytes of memory, which takes it a while, while the caller's other threads wait for a disk.
    package func populate(bytes: Int) { arena.populate(bytes: bytes) }

    /// Frees what was over at `time`, the time of the last batch of the log that was applied, and what flushes and drops have
    /// left behind.
    ///
    /// No later record needs it: one that changes such an entry was logged whole (`LogOutcome.released`). No thread may apply
    /// anything meanwhile.
    package func releaseExpired(at time: Milliseconds) {
        while maintain(now: time, budget: Self.sweepBudget).hasMore {}
    }

    /// How many records could not be applied because they exceed what the store can hold: an entry, or a namespace. Unless it
    /// is zero after the last record, something is missing.
    package var recordsNotApplied: Int { notApplied.load(ordering: .relaxed) }

    /// How many records could not be applied for lack of memory. Once it is not zero, entries are missing.
    package var recordsWithoutMemory: Int { withoutMemory.load(ordering: .relaxed) }

    /// How much memory there is for entries and tables.
    package var memoryBytesMax: Int { arena.byteCount }

    /// Whether less than an eighth of it is left.
    package var isShortOfMemory: Bool { arena.bytesInUse > arena.byteCount / 8 * 7 }

    /// What so many different entries take at least: header, key, metadata and value of each, and a place in the table.
    package static func memoryBytesMin(entries: Int, bodyBytes: Int) -> Int {
        let perEntry = Entry.headerBytes + MemoryLayout<Reference>.size + 1
        let (headers, overflow) = entries.multipliedReportingOverflow(by: perEntry)
        let (sum, overflowToo) = headers.addingReportingOverflow(bodyBytes)
        return overflow || overflowToo ? .max : sum
    }

    private func noteNotApplied() { notApplied.wrappingAdd(1, ordering: .relaxed) }

    // MARK: Entries

    private func applyEntry(_ record: borrowing LogRecord, _ access: AccessByte) {
        guard let namespace = namespaces.find(number: record.namespace), namespace.state != .deleting else { return }
        guard record.key.byteCount > 0, record.key.byteCount <= Entry.keyBytesMax,
            record.value.byteCount <= Entry.valueBytesMax, record.lsn > .zero
        else { return noteNotApplied() }
        let hash = hash(namespace, record.key)
        let position = TablePosition(hash, shardBits: hasher.shardBits)
        let shard = shardIndex(hash)
        let isEvicting = namespace.eviction != .none
        var isApplied = hold(shard) { $0.restore(record, namespace, position, access) }
        if !isApplied {
            sweepForMemory()
            isApplied = hold(shard) { $0.restore(record, namespace, position, access) }
        }
        if !isApplied && isEvicting {
            isApplied = evict(namespace, shard, bytes: record.byteCount) { $0.restore(record, namespace, position, access) }
        }
        guard isEvicting else {
            if !isApplied { withoutMemory.wrappingAdd(1, ordering: .relaxed) }
            return
        }
        // As good as evicted. What it would have replaced is out of date.
        if !isApplied { hold(shard) { $0.eraseReplaced(by: record, namespace, position) } }
        // Whatever the time: what has expired may still be prolonged.
        makeRoom(in: namespace, from: shard, afterWriting: record.byteCount, now: 0)
    }

    /// Frees what flushes and drops have left behind: the store that wrote the records had swept it away as it went.
    private func sweepForMemory() {
        sweptForMemory.withLock { swept in
            let seen = flushes.load(ordering: .acquiring)
            guard swept != seen else { return }
            // At the beginning of time nothing is due: what has expired may still be prolonged by a later record.
            releaseExpired(at: 0)
            swept = seen
        }
    }

    private static var sweepBudget: Int { 1 << 20 }

    // MARK: Namespaces

    private func applyNamespace(_ record: borrowing LogRecord) {
        guard let state = NamespaceRecord(parsing: record.value) else { return noteNotApplied() }
        // Places of dropped namespaces are given anew when they have been swept, as they were in the life that is replayed.
        if namespaces.find(number: record.namespace) == nil, namespaces.count == NamespaceTable.countMax { releaseExpired(at: 0) }
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        namespaces.noteNumbersGiven(state.numbersGiven)
        guard let namespace = namespaces.find(number: record.namespace) else {
            // One that is being dropped has nothing that would be missed.
            if state.state != .deleting { makeNamespace(record, state) }
            return
        }
        namespace.raiseFlushLSN(to: state.flushLSN)
        guard namespace.state != .deleting, record.lsn > namespace.updatedLSN else { return }
        // The default namespace is made before its record is read.
        namespace.set(created: state.created)
        namespace.set(state.state)
        namespace.set(state.settings)
        namespaces.note(state.settings)
        namespace.set(updatedLSN: record.lsn)
    }

    private func makeNamespace(_ record: borrowing LogRecord, _ state: NamespaceRecord) {
        guard NamespaceTable.isLegalName(record.key),
            namespaces.insert(number: record.namespace, name: record.key, record: state, updatedLSN: record.lsn) != nil
        else { return noteNotApplied() }
    }

    private func applyFlush(_ record: borrowing LogRecord) {
        guard let namespace = namespaces.find(number: record.namespace) else { return }
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        namespace.raiseFlushLSN(to: record.lsn)
        _ = noteFlush()
    }

    private func applyDrop(_ record: borrowing LogRecord) {
        guard let namespace = namespaces.find(number: record.namespace), namespace != namespaces.default else { return }
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        guard namespace.state != .deleting else { return }
        publishDrop(namespace, record.lsn)
        namespaces.noteDropped(namespace, sweep: noteFlush())
    }
}

extension Shard {
    /// Applies a record of an entry.
    ///
    /// - Returns: false when there is no memory.
    fileprivate mutating func restore(
        _ record: borrowing LogRecord, _ namespace: Namespace, _ position: TablePosition, _ access: AccessByte
    ) -> Bool {
        let flushLSN = namespace.flushLSN
        notice(namespace, flushLSN: flushLSN)
        guard record.lsn > flushLSN else { return true }
        var found = find(position, record.key, namespaceSlot: namespace.slot)
        if let present = found {
            // The same record again, or an older one.
            guard present.entry.lsn < record.lsn else { return true }
            if present.entry.lsn <= flushLSN {
                erase(present, position)
                found = nil
            }
        }
        switch record.operation {
        case .set: return restoreSet(record, namespace, position, found, access)
        case .deadline: return restoreDeadline(record, namespace, position, found)
        default:
            noteMissing(record.lsn)
            if let found { erase(found, position) }
            return true
        }
    }

    /// Erases the entry that a record would have replaced.
    fileprivate mutating func eraseReplaced(
        by record: borrowing LogRecord, _ namespace: Namespace, _ position: TablePosition
    ) {
        guard let found = find(position, record.key, namespaceSlot: namespace.slot) else { return }
        if found.entry.lsn < record.lsn { erase(found, position) }
    }

    private mutating func restoreSet(
        _ record: borrowing LogRecord, _ namespace: Namespace, _ position: TablePosition, _ found: Found?,
        _ access: AccessByte
    ) -> Bool {
        let deadline = Self.storable(record.deadline)
        let shape = EntryShape(
            keyBytes: record.key.byteCount, valueBytes: record.value.byteCount, metadataBytes: record.metadata.byteCount,
            hasDeadline: !deadline.isNever, hasLinks: namespace.eviction != .none)
        guard let prepared = prepare(shape, replacing: found) else { return false }
        place(
            prepared, replacing: found, position, namespaceSlot: namespace.slot, lsn: record.lsn, deadline: deadline,
            metadata: record.metadata, key: record.key, value: record.value)
        restoreAccess(prepared.reference, access)
        return true
    }

    private mutating func restoreDeadline(
        _ record: borrowing LogRecord, _ namespace: Namespace, _ position: TablePosition, _ found: Found?
    ) -> Bool {
        guard let found else { return true }
        let deadline = Self.storable(record.deadline)
        var shape = found.entry.shape
        shape.hasDeadline = true
        var prepared: Prepared?
        if !found.entry.hasDeadline {
            prepared = prepareElsewhere(shape, replacing: found)
            if prepared == nil { return false }
        } else if !wheel.prepare(&slab) {
            return false
        }
        setDeadline(found, prepared, record.key, position, deadline, record.lsn)
        return true
    }

    /// What an entry can hold of a deadline; a record may say anything.
    private static func storable(_ deadline: Deadline) -> Deadline {
        deadline.isNever ? deadline : Deadline(rawValue: min(max(deadline.rawValue, 1), Deadline.latest.rawValue))
    }
}
