// Which namespaces of a shard have an ordered index, and how far each has come.
//
// An index is made when its namespace is first listed, by a pass over the shard's table: keys are gathered in steps, sorted with
// the shard unlocked, and placed in steps. Meanwhile every write goes to the index as well, so it is complete when the last
// one that was found is placed. It goes when nobody has listed the namespace for a while.

import LarderPlatform

/// An index of a shard and what is known of it.
final class ListedNamespace {
    var index: OrderedIndex
    /// Where the pass over the table goes on.
    var cursor: UInt64 = 0
    /// Whether the pass has come to its end.
    var isScanned = false
    var gathered = KeyCollection()
    var step = Step.gathering
    var isComplete: Bool { step == .complete }
    var lastListed: Milliseconds

    enum Step {
        case gathering
        /// Somebody has `gathered`, and puts it in order.
        case sorting
        case placing
        case complete
    }

    init(arena: PageArena, now: Milliseconds) {
        index = OrderedIndex(arena: arena)
        lastListed = now
    }

    /// Takes back what was sorted.
    func takeBack(_ sorted: KeyCollection) {
        gathered = sorted
        step = .placing
    }
}

/// A shard's indexes, by the slot of the namespace. Every call is made under the shard's lock.
struct ShardIndexes: ~Copyable {
    private var listed: [UInt16: ListedNamespace] = [:]
    /// Indexes that nobody needs any more, whose leaves are given back little by little.
    private var discarded: [OrderedIndex] = []

    /// Makes an index, and lets it go. The runtime puts types together when they are first needed; that takes some 0.2 ms, which are better
    /// spent when a store is made than while a shard is held.
    static func makeTypes(_ arena: PageArena) {
        var indexes = ShardIndexes()
        indexes.make(0, arena: arena, now: 0).gathered.reserve(1)
    }

    /// Whether nothing needs to hear of any change.
    @inline(__always) var isEmpty: Bool { listed.isEmpty }
    var hasDiscarded: Bool { !discarded.isEmpty }
    var count: Int { listed.count }

    subscript(slot: UInt16) -> ListedNamespace? { listed[slot] }

    mutating func make(_ slot: UInt16, arena: PageArena, now: Milliseconds) -> ListedNamespace {
        let namespace = ListedNamespace(arena: arena, now: now)
        listed[slot] = namespace
        return namespace
    }

    mutating func remove(_ slot: UInt16) {
        if let namespace = listed.removeValue(forKey: slot) { discarded.append(namespace.index) }
    }

    /// Forgets all keys of a namespace. What the index knows is as complete as before: of what was flushed nothing is left.
    mutating func empty(_ slot: UInt16, arena: PageArena) {
        guard let namespace = listed[slot], namespace.index.count > 0 else { return }
        discarded.append(namespace.index)
        namespace.index = OrderedIndex(arena: arena)
    }

    mutating func removeIdle(before time: Milliseconds) {
        for (slot, namespace) in listed where namespace.lastListed < time { remove(slot) }
    }

    /// Gives some leaves of discarded indexes back.
    ///
    /// - Returns: Whether there are more.
    mutating func freeDiscarded(leavesMax: Int, _ slab: inout Slab) -> Bool {
        if let last = discarded.last, !last.removeLeaves(leavesMax, &slab) { discarded.removeLast() }
        return hasDiscarded
    }

    func checkInvariants() {
        for namespace in listed.values { namespace.index.checkInvariants() }
    }
}
