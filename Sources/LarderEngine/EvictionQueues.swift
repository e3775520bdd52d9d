// In which order the entries of a namespace in a shard are to go: a small queue for what is new, a main one for what was used
// again, and a memory for what has gone.
//
// Knows links and bytes; which entry is freed is decided in `Shard+Eviction`. The links lie in the entries.
// Source: J. Yang et al., "FIFO Queues Are All You Need for Cache Eviction", SOSP 2023.
//
// Unsafe, and sound because what is linked are entries that the shard's table holds, and one is unlinked before its memory
// is freed; queues are reached only through their shard, under its lock.

/// A doubly linked list through entries, newest first.
struct EntryQueue {
    var newest: Reference = 0
    var oldest: Reference = 0
    var count = 0
    /// What its entries take, as `Shard.chargedBytes` counts it.
    var bytes = 0

    mutating func push(_ reference: Reference, _ entry: Entry, bytes charged: Int, _ slab: borrowing Slab) {
        entry.newer = 0
        entry.older = newest
        if newest != 0 { slab.entry(newest).newer = reference } else { oldest = reference }
        newest = reference
        count &+= 1
        bytes &+= charged
    }

    mutating func remove(_ entry: Entry, bytes charged: Int, _ slab: borrowing Slab) {
        let (newer, older) = (entry.newer, entry.older)
        if newer != 0 { slab.entry(newer).older = older } else { newest = older }
        if older != 0 { slab.entry(older).newer = newer } else { oldest = newer }
        count &-= 1
        bytes &-= charged
    }

    /// Puts an entry where another was.
    mutating func replace(
        _ links: EntryLinks, with reference: Reference, _ entry: Entry, bytes charged: Int, _ slab: borrowing Slab
    ) {
        entry.newer = links.newer
        entry.older = links.older
        if links.newer != 0 { slab.entry(links.newer).older = reference } else { newest = reference }
        if links.older != 0 { slab.entry(links.older).newer = reference } else { oldest = reference }
        bytes &+= charged &- links.bytes
    }
}

/// What there is to know of an entry in a queue when it is about to be overwritten.
struct EntryLinks {
    let newer: Reference
    let older: Reference
    let isInMain: Bool
    let frequency: UInt8
    let bytes: Int

    init(_ entry: Entry, bytes: Int) {
        newer = entry.newer
        older = entry.older
        isInMain = entry.isInMain
        frequency = entry.frequency
        self.bytes = bytes
    }
}

/// The queues of one namespace in one shard.
struct EvictionQueues: ~Copyable {
    var small = EntryQueue()
    var main = EntryQueue()
    var ghost = GhostTable()
    /// Whether the namespace has been full since it was empty.
    var hasEvicted = false
    var evictedEntries = 0
    var evictedBytes = 0
    var ghostHits = 0

    /// The main queue's part of the whole, in tenths; the small one has the rest.
    private static let mainTenths = 9

    /// Whether new entries belong into the main queue: until the cache is full they fill it in proportion.
    var fillsMain: Bool { !hasEvicted && small.bytes &* Self.mainTenths > main.bytes }

    /// Whether the next to go is in the main queue. What came last is spared as long as there is anything else.
    var isMainNext: Bool {
        if main.count == 0 { return false }
        return small.count <= 1 || main.bytes > small.bytes &* Self.mainTenths
    }

    /// After how many evicted bytes an entry is forgotten, and how many that may be: as many as the main queue should hold.
    var ghostWindow: Int { (small.bytes &+ main.bytes) / 10 &* Self.mainTenths }
    var ghostEntries: Int { (small.count &+ main.count) &* Self.mainTenths / 10 }

    /// The namespace was flushed: what is still linked is dead, and goes by and by.
    mutating func forget() {
        hasEvicted = false
        ghost.removeAll()
    }
}

/// The queues of a shard, by the slot of the namespace. Namespaces that do not evict have none.
@safe struct ShardQueues: ~Copyable {
    private var queues: UnsafeMutablePointer<UnsafeMutablePointer<EvictionQueues>?>?
    private var capacity = 0

    init() {}

    deinit {
        for slot in 0..<capacity {
            if let one = unsafe queues?[slot] {
                unsafe one.deinitialize(count: 1)
                unsafe one.deallocate()
            }
        }
        unsafe queues?.deallocate()
    }

    /// How many slots may have queues.
    var slots: Int { capacity }

    func has(_ slot: UInt16) -> Bool { unsafe Int(slot) < capacity && queues?[Int(slot)] != nil }

    /// The queues of a namespace that has some.
    subscript(slot: UInt16) -> EvictionQueues {
        _read {
            precondition(has(slot), "a namespace without queues")
            yield unsafe queues.unsafelyUnwrapped[Int(slot)].unsafelyUnwrapped.pointee
        }
        _modify {
            precondition(has(slot), "a namespace without queues")
            yield unsafe &queues.unsafelyUnwrapped[Int(slot)].unsafelyUnwrapped.pointee
        }
    }

    /// Makes the queues of a namespace, if it has none.
    @inline(__always) mutating func open(_ slot: UInt16) { if !has(slot) { make(slot) } }

    @inline(never) private mutating func make(_ slot: UInt16) {
        if Int(slot) >= capacity {
            let longer = NamespaceTable.capacity(toHold: slot, growing: capacity)
            let copy = UnsafeMutablePointer<UnsafeMutablePointer<EvictionQueues>?>.allocate(capacity: longer)
            unsafe copy.initialize(repeating: nil, count: longer)
            if let queues = unsafe queues { unsafe copy.update(from: queues, count: capacity) }
            unsafe queues?.deallocate()
            unsafe queues = copy
            capacity = longer
        }
        let one = UnsafeMutablePointer<EvictionQueues>.allocate(capacity: 1)
        unsafe one.initialize(to: EvictionQueues())
        unsafe queues.unsafelyUnwrapped[Int(slot)] = one
    }
}
