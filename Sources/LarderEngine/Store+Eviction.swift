// Making room: which shard evicts, and how much at a time.
//
// The limit is one sum over all shards; how many entries each has is kept level, because a cache that is split evenly by hash
// misses no more than a whole one, and one that is split unevenly does. A shard that has no fewer than the average evicts: the
// one that was written to, or else the next in turn. Counted in entries and not in bytes, so that one long value costs
// everybody a little and not its neighbours everything.
//
// A write makes room after it, with no lock held but that of one shard at a time. It looks at a bounded number of entries; if
// those were all used of late, it then evicts as much as it brought whoever it is, so that the limit holds. What a very long
// value leaves, later writes and maintenance do.

import LarderPlatform

extension Store {
    /// How many entries a write looks at to make room. It mostly needs some; but each use that an entry was given another turn
    /// for costs a look, so in a cache that hits nearly always it may be hundreds.
    private static var stepsPerWrite: Int { 1_024 }
    /// One more for so many bytes written.
    private static var bytesPerStep: Int { 16 }
    private static var stepsPerWriteMax: Int { 4_096 }
    /// How many entries it evicts at most when there was none among those that should go.
    private static var forcedPerWriteMax: Int { 4_096 }
    /// How much more than it brought a write frees: what an entry takes beside its value, and what a shard keeps back until
    /// it reports it.
    private static var bytesBeyond: Int { 4_096 }
    /// How many entries are looked at while a shard is locked: some 2 us.
    private static var stepsPerHold: Int { 16 }
    /// How many entries of its own shard a write looks at when there is no memory, and how often: half a millisecond in all, when hardly any of it is free.
    private static var stepsForMemory: Int { 256 }
    private static var triesForMemory: Int { 16 }

    /// What a write to a namespace that evicts does when there was no memory for it: evicts in its own shard, whose slots can
    /// be used again at once, until `body` succeeds.
    ///
    /// - Parameter bytes: About what is missing. More is freed at each attempt: memory comes back in whole pages.
    /// - Returns: Whether it did.
    func evict(
        _ namespace: Namespace, _ index: Int, bytes: Int, now: Milliseconds = 0, _ body: (inout Shard) -> Bool
    ) -> Bool {
        for attempt in 0..<Self.triesForMemory {
            let isDone = hold(index) { shard in
                var steps = Self.stepsForMemory
                _ = shard.makeRoom(
                    in: namespace, bytes: bytes << (2 * attempt), keysMin: 0, isForced: attempt > 0, now: now, steps: &steps)
                return body(&shard)
            }
            if isDone { return true }
        }
        return false
    }

    /// Makes room in a namespace that evicts and is over its limit, as far as one write can be asked to.
    ///
    /// - Parameter index: The shard that was written to.
    /// - Parameter bytes: How many were written.
    func makeRoom(in namespace: Namespace, from index: Int, afterWriting bytes: Int, now: Milliseconds) {
        guard namespace.bytesOverLimit > 0 else { return }
        var steps = min(Self.stepsPerWrite + bytes / Self.bytesPerStep, Self.stepsPerWriteMax)
        // Twice, so that a namespace whose limit was lowered comes down to it.
        let freed = makeRoom(in: namespace, from: index, bytesMax: 2 * (bytes + Self.bytesBeyond), now: now, steps: &steps)
        let missing = bytes + Self.bytesBeyond - freed
        if steps <= 0 && missing > 0 {
            steps = Self.forcedPerWriteMax
            _ = makeRoom(in: namespace, from: index, bytesMax: missing, isForced: true, now: now, steps: &steps)
        }
    }

    /// Evicts until the namespace is within its limit.
    ///
    /// - Parameter first: The shard to begin with.
    /// - Parameter bytesMax: After so many bytes it is enough.
    /// - Parameter steps: How many entries may be looked at; less what was, on return.
    /// - Returns: How many bytes were freed.
    private func makeRoom(
        in namespace: Namespace, from first: Int, bytesMax: Int = .max, isForced: Bool = false, isUpkeep: Bool = false,
        now: Milliseconds, steps: inout Int
    ) -> Int {
        var rest = bytesMax
        var index = first
        var idle = 0
        // Nobody is spared in a second round: after a flush the average may be one of before.
        while rest > 0 && steps > 0 && idle < 2 &* shardCount {
            // Asked anew each time: others write and evict meanwhile, and a shard that evicts reports what it had kept back.
            let wanted = min(namespace.bytesOverLimit, rest)
            if wanted <= 0 { break }
            let keysMin = idle < shardCount ? namespace.budget.entries / shardCount : 0
            let granted = min(steps, Self.stepsPerHold)
            var slice = granted
            let freed = hold(index) { shard in
                func work(_ shard: inout Shard) -> Int {
                    shard.makeRoom(
                        in: namespace, bytes: wanted, keysMin: keysMin, isForced: isForced, now: now, steps: &slice)
                }
                return isUpkeep ? holdTimes.measure(.upkeep) { work(&shard) } : work(&shard)
            }
            steps -= granted - slice
            idle = freed > 0 || slice < granted ? 0 : idle &+ 1
            rest &-= freed
            index = namespace.budget.nextTurn() & (shardCount &- 1)
        }
        return bytesMax &- rest
    }

    /// Works off what writes have left: of every namespace that is over its limit.
    ///
    /// - Returns: Whether there is more to do.
    func makeRoomEverywhere(now: Milliseconds, steps: inout Int) -> Bool {
        guard namespaces.hasEvicting else { return false }
        var hasMore = false
        for namespace in namespaces.all() where namespace.state == .ready && namespace.eviction != .none {
            guard namespace.bytesOverLimit > 0 else { continue }
            let first = namespace.budget.nextTurn() & (shardCount &- 1)
            _ = makeRoom(in: namespace, from: first, isUpkeep: true, now: now, steps: &steps)
            if namespace.bytesOverLimit > 0 && steps <= 0 { hasMore = true }
        }
        return hasMore
    }
}

extension Namespace {
    /// How much it is over its limit, as far as the shards have reported; not above zero when it has none.
    var bytesOverLimit: Int {
        let limit = budget.bytesMax
        return limit == 0 ? 0 : budget.used(since: flushLSN) - limit
    }
}
