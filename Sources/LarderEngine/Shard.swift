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
    /// Whether there is room for links.
    let hasLinks: Bool
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
    /// When a look at all pages last found none to drain, and whether the present look has found one.
    var compactSince = Milliseconds.min / 2
    var foundPageToDrain = false

    let arena: PageArena
    /// What this shard calls itself towards the arena, for runs that are not the slab's.
    private let tableOwner: UInt32
    /// What is told of entries that go without having been asked to.
    let events: KeyEvents
    // Last, so that what every operation looks at stays together.
    var queues = ShardQueues()

    init?(arena: PageArena, index: Int, hasher: TableHasher, hint: TableHint, events: KeyEvents) {
        tableOwner = Slab.tableLabel(shard: index)
        guard let table = HashTable(arena: arena, hasher: hasher, hint: hint, owner: tableOwner) else { return nil }
        self.table = table
        self.arena = arena
        self.events = events
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
        if found.entry.lsn > flushLSN {
            expiredTotal &+= 1
            events.tellGone(.expired, found.entry)
        }
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
            return Prepared(reference: found.reference, byteCount: byteCount, isInPlace: true, hasLinks: shape.hasLinks)
        }
        return prepareElsewhere(shape, replacing: found)
    }

    /// The same, but never the memory of the entry that is replaced.
    mutating func prepareElsewhere(_ shape: EntryShape, replacing found: Found?) -> Prepared? {
        let byteCount = shape.byteCount
        guard makePlace(hasDeadline: shape.hasDeadline, replacing: found), let reference = slab.allocate(byteCount) else { return nil }
        return Prepared(reference: reference, byteCount: byteCount, isInPlace: false, hasLinks: shape.hasLinks)
    }

    /// A place in the wheel, and in the table, for an entry whose own memory is no matter here.
    ///
    /// - Returns: false when there is no memory.
    @inline(__always) mutating func makePlace(hasDeadline: Bool, replacing found: Found?) -> Bool {
        if hasDeadline && !wheel.prepare(&slab) { return false }
        return found != nil || table.makeRoom(owner: tableOwner)
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
        let replaced = Counted(found, prepared, self)
        let former = prepared.isInPlace ? entry.wheelPosition : nil
        var links: EntryLinks?
        if let found, found.entry.hasLinks { links = takeLinks(found.entry, staying: prepared.hasLinks) }
        entry.write(
            lsn: lsn, namespaceSlot: namespaceSlot, deadline: deadline, hasDeadline: !deadline.isNever,
            hasLinks: prepared.hasLinks, metadata: metadata, key: key, value: value)
        count(entry, prepared, replacing: replaced)
        if prepared.hasLinks { link(prepared.reference, entry, links, position) }
        show(prepared, entry, replacing: found, position)
        wheel.rearm(prepared.reference, former: former, &slab)
    }

    /// Makes an entry visible that was written in its memory already, but for its LSN.
    mutating func place(
        _ prepared: Prepared, replacing found: Found?, _ position: TablePosition, lsn: LSN
    ) {
        let entry = table.entry(prepared.reference)
        let replaced = Counted(found, prepared, self)
        var links: EntryLinks?
        if let found, found.entry.hasLinks { links = takeLinks(found.entry, staying: entry.hasLinks) }
        entry.lsn = lsn
        count(entry, prepared, replacing: replaced)
        if entry.hasLinks { link(prepared.reference, entry, links, position) }
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
        if found.entry.hasLinks { unlink(found.entry) }
        table.remove(found.place, position)
        release(found)
    }

    /// Erases the entry at a reference that is known to be one.
    mutating func erase(_ reference: Reference) {
        erase(reference, table.position(table.entry(reference)))
    }

    mutating func erase(_ reference: Reference, _ position: TablePosition) {
        guard let place = table.find(position, reference) else { preconditionFailure("an entry is not in the table") }
        erase(Found(place: place, reference: reference, entry: table.entry(reference)), position)
    }

    private mutating func release(_ found: Found) {
        wheel.disarm(found.entry)
        slab.free(found.reference, found.entry.byteCount)
    }

    // MARK: Counting

    /// Learns of flushes since the namespace was last met here. To be called before any change.
    @inline(__always) mutating func notice(_ namespace: Namespace, flushLSN: LSN) {
        if !namespaces.knows(flush: flushLSN, slot: namespace.slot) { learn(namespace, flushLSN: flushLSN) }
    }

    @inline(never) private mutating func learn(_ namespace: Namespace, flushLSN: LSN) {
        guard namespaces.notice(flush: flushLSN, namespace) else { return }
        indexDrop(namespaceSlot: namespace.slot)
        if queues.has(namespace.slot) { queues[namespace.slot].forget() }
    }

    /// What an entry counted for that is replaced; it is alive.
    private struct Counted {
        var keys = 0
        var bytes = 0
        var charged = 0

        @inline(__always) init(_ found: Found?, _ prepared: Prepared, _ shard: borrowing Shard) {
            guard let found else { return }
            keys = 1
            bytes = Shard.countedBytes(found.entry)
            // In place the slot stays the same.
            if !prepared.isInPlace { charged = shard.chargedBytes(found.entry) }
        }
    }

    @inline(__always)
    private mutating func count(_ entry: Entry, _ prepared: Prepared, replacing former: Counted) {
        let charged = prepared.isInPlace ? 0 : chargedBytes(prepared.byteCount)
        namespaces.count(
            entry.namespaceSlot, keys: 1 &- former.keys, bytes: Self.countedBytes(entry) &- former.bytes,
            charged: charged &- former.charged)
    }

    private mutating func subtract(_ entry: Entry) {
        // What a flush took is not counted any more.
        guard entry.lsn > namespaces[entry.namespaceSlot].flushLSN else { return }
        namespaces.count(
            entry.namespaceSlot, keys: -1, bytes: -Self.countedBytes(entry), charged: -chargedBytes(entry))
    }

    /// Changes the value of an entry in place, which is a use of it.
    mutating func replaceValue(_ entry: Entry, _ value: RawSpan, _ lsn: LSN) {
        namespaces.count(entry.namespaceSlot, keys: 0, bytes: value.byteCount &- entry.valueBytes, charged: 0)
        entry.replaceValue(value)
        entry.lsn = lsn
        entry.noteUse()
    }

    static func countedBytes(_ entry: Entry) -> Int { entry.keyBytes &+ entry.metadataBytes &+ entry.valueBytes }

    /// What an entry takes of memory: its slot, and what it takes elsewhere.
    func chargedBytes(_ entry: Entry) -> Int { chargedBytes(entry.byteCount) }

    func chargedBytes(_ byteCount: Int) -> Int { slab.slotBytes(byteCount) &+ Self.bytesElsewhere }

    /// For its places in the table, in the wheel and in the memory of evicted keys: about as much as they take together.
    static var bytesElsewhere: Int { 16 }

    // MARK: Upkeep

    /// Makes the table large enough for `entries`, if it is empty.
    mutating func reserve(entries: Int) { table.reserve(entries, owner: tableOwner) }

    /// Moves the table on, or begins to shrink it.
    mutating func moveTable(buckets: Int) -> Bool { table.move(buckets: buckets, owner: tableOwner) }
}
