// One of many independent parts of a store: a lock, and everything about the keys whose hashes fall to it.
//
// Table, slab, wheel and counts of a key are under one lock, so an operation takes one lock, and no lock is ever taken under
// it but the log's. Knows how to find, place and erase entries; what commands make of that stands in `Shard+Writes`.

import LarderBytes
import LarderPlatform

/// An entry, and where it stands. Holds until the next change of the shard.
struct Found {
    let place: TablePlace
    let reference: Reference
    let entry: Entry
}

/// Memory for what is about to be written.
struct Prepared {
    let reference: Reference
    let byteCount: Int
    /// Whether it is the memory of the entry that it will replace.
    let isInPlace: Bool
}

/// A shard. Touched only by the holder of its lock, which lies beside it.
struct Shard: ~Copyable {
    var table: HashTable
    /// The latest write whose effect is that something is missing: a removal, or an entry whose deadline has passed.
    var removedLSN = LSN.zero
    var slab: Slab
    var wheel = TimingWheel()
    var indexes = ShardIndexes()
    var namespaces = ShardNamespaces()
    var sweep = SweepState()
    var expiredTotal = 0

    let arena: PageArena
    /// What this shard calls itself towards the arena, for runs that are not the slab's.
    private let tableOwner: UInt32

    init?(arena: PageArena, index: Int, hasher: TableHasher, hint: TableHint) {
        tableOwner = Slab.tableLabel(shard: index)
        guard let table = HashTable(arena: arena, hasher: hasher, hint: hint, owner: tableOwner) else { return nil }
        self.table = table
        self.arena = arena
        slab = Slab(arena: arena, shard: index)
    }

    // MARK: Finding

    /// The entry with this key, dead or alive.
    @inline(__always)
    func find(_ position: TablePosition, _ key: RawSpan, namespaceSlot: UInt16) -> Found? {
        guard let place = table.find(position, key, namespaceSlot: namespaceSlot) else { return nil }
        let reference = table[place]
        return Found(place: place, reference: reference, entry: table.entry(reference))
    }

    /// The live entry with this key. One that is found dead is erased by the way.
    mutating func findLive(
        _ position: TablePosition, _ key: RawSpan, _ namespace: Namespace, flushLSN: LSN, now: Milliseconds
    ) -> Found? {
        guard let found = find(position, key, namespaceSlot: namespace.slot) else { return nil }
        if found.entry.lsn > flushLSN && !found.entry.deadline.isDue(now) { return found }
        if found.entry.lsn > flushLSN { expiredTotal &+= 1 }
        noteMissing(found.entry.lsn)
        erase(found, position)
        return nil
    }

    /// A miss depends on this write from now on.
    mutating func noteMissing(_ lsn: LSN) { removedLSN = max(removedLSN, lsn) }

    // MARK: Placing

    /// Memory for an entry of this shape, and a place in the table if it replaces none. Nothing is visible yet.
    ///
    /// - Returns: nil when there is no memory.
    mutating func prepare(_ shape: EntryShape, replacing found: Found?) -> Prepared? {
        let byteCount = shape.byteCount
        if shape.hasDeadline && !wheel.prepare(&slab) { return nil }
        if let found, slab.isSameSize(byteCount, found.entry.byteCount) {
            return Prepared(reference: found.reference, byteCount: byteCount, isInPlace: true)
        }
        return prepareElsewhere(shape, replacing: found)
    }

    /// The same, but never the memory of the entry that is replaced.
    mutating func prepareElsewhere(_ shape: EntryShape, replacing found: Found?) -> Prepared? {
        let byteCount = shape.byteCount
        if shape.hasDeadline && !wheel.prepare(&slab) { return nil }
        if found == nil && !table.makeRoom(owner: tableOwner) { return nil }
        guard let reference = slab.allocate(byteCount) else { return nil }
        return Prepared(reference: reference, byteCount: byteCount, isInPlace: false)
    }

    /// Gives back what was prepared and is not needed after all.
    mutating func discard(_ prepared: Prepared) {
        if !prepared.isInPlace { slab.free(prepared.reference, prepared.byteCount) }
    }

    /// Writes an entry into its memory and makes it visible in place of `found`.
    mutating func place(
        _ prepared: Prepared, replacing found: Found?, _ position: TablePosition, namespaceSlot: UInt16, lsn: LSN,
        deadline: Deadline, metadata: RawSpan, key: RawSpan, value: RawSpan
    ) {
        let entry = table.entry(prepared.reference)
        if let found { subtract(found.entry) }
        let former = prepared.isInPlace ? entry.wheelPosition : nil
        entry.write(
            lsn: lsn, namespaceSlot: namespaceSlot, deadline: deadline, hasDeadline: !deadline.isNever, metadata: metadata,
            key: key, value: value)
        add(entry)
        show(prepared, entry, replacing: found, position)
        wheel.rearm(prepared.reference, former: former, &slab)
    }

    /// Makes an entry visible that was written in its memory already, but for its LSN.
    mutating func place(
        _ prepared: Prepared, replacing found: Found, _ position: TablePosition, lsn: LSN
    ) {
        let entry = table.entry(prepared.reference)
        subtract(found.entry)
        entry.lsn = lsn
        add(entry)
        show(prepared, entry, replacing: found, position)
        wheel.arm(prepared.reference, &slab)
    }

    private mutating func show(
        _ prepared: Prepared, _ entry: Entry, replacing found: Found?, _ position: TablePosition
    ) {
        guard let found else {
            table.insert(prepared.reference, position)
            indexInsert(prepared.reference, entry)
            table.move(buckets: HashTable.bucketsMovedPerWrite, owner: tableOwner)
            return
        }
        if prepared.isInPlace { return }
        indexReplace(found.reference, with: prepared.reference, found.entry)
        table[found.place] = prepared.reference
        release(found)
    }

    // MARK: Erasing

    /// Takes an entry out of everything. Says nothing to the log.
    mutating func erase(_ found: Found, _ position: TablePosition) {
        indexRemove(found.reference, found.entry)
        subtract(found.entry)
        table.remove(found.place, position)
        release(found)
    }

    /// Erases the entry at a reference that is known to be one.
    mutating func erase(_ reference: Reference) {
        let entry = table.entry(reference)
        let position = table.position(entry)
        guard let place = table.find(position, reference) else { preconditionFailure("an entry is not in the table") }
        erase(Found(place: place, reference: reference, entry: entry), position)
    }

    private mutating func release(_ found: Found) {
        wheel.disarm(found.entry)
        slab.free(found.reference, found.entry.byteCount)
    }

    // MARK: Counting

    /// Learns of flushes since the namespace was last met here. To be called before any change.
    mutating func notice(_ namespace: Namespace, flushLSN: LSN) {
        if namespaces.notice(flush: flushLSN, slot: namespace.slot) { indexDrop(namespaceSlot: namespace.slot) }
    }

    private mutating func add(_ entry: Entry) {
        var share = namespaces[entry.namespaceSlot]
        share.keys &+= 1
        share.bytes &+= Self.countedBytes(entry)
        namespaces[entry.namespaceSlot] = share
    }

    private mutating func subtract(_ entry: Entry) {
        var share = namespaces[entry.namespaceSlot]
        // What a flush took is not counted any more.
        guard entry.lsn > share.flushLSN else { return }
        share.keys &-= 1
        share.bytes &-= Self.countedBytes(entry)
        namespaces[entry.namespaceSlot] = share
    }

    /// Counts an entry anew around a change in place.
    mutating func recount(_ entry: Entry, _ change: (Entry) -> Void) {
        subtract(entry)
        change(entry)
        add(entry)
    }

    static func countedBytes(_ entry: Entry) -> Int { entry.keyBytes &+ entry.metadataBytes &+ entry.valueBytes }

    // MARK: Upkeep

    /// Makes the table large enough for `entries`, if it is empty.
    mutating func reserve(entries: Int) { table.reserve(entries, owner: tableOwner) }

    /// Moves the table on, or begins to shrink it.
    mutating func moveTable(buckets: Int) -> Bool { table.move(buckets: buckets, owner: tableOwner) }
}
