// Keys in byte order, a page at a time: the shards' ordered runs, merged.
//
// A shard is locked for some dozen keys at a time, whose bytes are copied out; the merging happens without a lock. A key that
// is there throughout a listing is in it exactly once; one that comes or goes meanwhile may be in it.

import LarderBytes
import LarderPlatform

extension Store {
    /// Visits the live keys that begin with `prefix` and come after `cursor`, in byte order.
    ///
    /// The first listing of a namespace puts its keys in order, which takes about 100 ns for each of them, with bounded
    /// holds of locks. The order is then kept for as long as somebody lists.
    ///
    /// - Parameter cursor: What the last page's result says; empty for the first page.
    /// - Parameter delimiter: Keys that share everything up to and including the next delimiter after the prefix are visited
    ///   once, as that common prefix, and skipped without being looked at.
    /// - Parameter limit: How many items at most.
    /// - Parameter bytesMax: The page ends when so many bytes of values were visited.
    /// - Parameter workMax: How many entries may be looked at, or a little more, before the call ends `.unfinished`. A call that
    ///   has nothing left to put in order visits something.
    /// - Parameter visit: Is called without a lock.
    /// - Complexity: O(limit * log(shards) + shards) items, whatever the number of keys; with a delimiter every shard is asked
    ///   for each common prefix.
    package func list(
        _ namespace: Namespace, prefix: RawSpan = RawSpan(), after cursor: RawSpan = RawSpan(), delimiter: UInt8? = nil,
        limit: Int, withValues: Bool = false, bytesMax: Int = .max, workMax: Int = .max,
        now: Milliseconds, _ visit: (borrowing ListedItem) -> Void
    ) -> ListingResult {
        guard namespace.state == .ready else { return ListingResult(outcome: .namespaceGone) }
        var work = workMax
        switch prepareListing(namespace, now: now, work: &work) {
        case .ready: break
        case .building: return ListingResult(outcome: .unfinished, work: workMax - work)
        case .outOfMemory: return ListingResult(outcome: .outOfMemory)
        }
        var result = merge(
            namespace, prefix: prefix, after: cursor, delimiter: delimiter, limit: limit, withValues: withValues,
            bytesMax: bytesMax, work: &work, now: now, visit)
        result.work = workMax - work
        return result
    }

    private func merge(
        _ namespace: Namespace, prefix: RawSpan, after cursor: RawSpan, delimiter: UInt8?, limit: Int, withValues: Bool,
        bytesMax: Int, work: inout Int, now: Milliseconds, _ visit: (borrowing ListedItem) -> Void
    ) -> ListingResult {
        let listing = Listing(namespace, prefix: prefix, delimiter: delimiter, withValues: withValues, now: now)
        guard limit > 0, var first = listing.begin(after: cursor) else { return ListingResult(outcome: .listed) }
        first.itemsMax = min(max(2 * limit / shardCount, 4), 64)
        var merge = ListingMerge(runs: shardCount, beginning: first)
        var result = ListingResult(outcome: .listed)
        for run in 0..<shardCount {
            if let outcome = fill(&merge, run, listing, &work) { return ListingResult(outcome: outcome) }
        }
        var bytes = 0
        // The last item's place in the scratch.
        var last: Int?
        while let run = merge.first {
            let isRepeated = merge.isRepeated(run, last)
            if !isRepeated {
                if result.count == limit || bytes >= bytesMax || work <= 0 && result.count > 0 {
                    if result.count < limit && bytes < bytesMax { result.outcome = .unfinished }
                    result.cursor = last.map { Array(merge.key($0)) }
                    result.lsn = merge.lsn
                    return result
                }
                let position = merge.runs[run].position
                let item = ListingItem.view(merge.bytes(position))
                visit(item)
                result.count += 1
                bytes += item.value.byteCount
                last = position
            }
            merge.advance(run)
            if let outcome = fill(&merge, run, listing, &work) {
                result.outcome = outcome
                result.cursor = last.map { Array(merge.key($0)) }
                break
            }
        }
        result.lsn = merge.lsn
        return result
    }

    /// Puts the keys of a namespace in order, for listings to come, as far as `work` allows.
    ///
    /// - Parameter work: How many entries may be looked at; less what was, on return.
    package func prepareListing(_ namespace: Namespace, now: Milliseconds, work: inout Int) -> ListingReadiness {
        var isBusy = false
        for index in 0..<shardCount {
            switch prepareIndex(index, namespace, now, &work) {
            case .ready: break
            // Two who list share the shards between them.
            case .building where work > 0: isBusy = true
            case .building: return .building
            case .outOfMemory: return .outOfMemory
            }
        }
        // Having waited is work, so that a call that does nothing else ends.
        if isBusy { work -= 1 }
        return isBusy ? .building : .ready
    }

    /// - Returns: `.building` when the work is done, or when somebody else is at this shard.
    private func prepareIndex(_ index: Int, _ namespace: Namespace, _ now: Milliseconds, _ work: inout Int) -> ListingReadiness {
        while true {
            arena.populateAhead()
            var slice = min(work, Self.entriesPerHold)
            work -= slice
            let progress = hold(index) { shard in
                // Once the order is there, every page asks every shard.
                guard shard.lacksIndex(namespace) else { return shard.prepareIndex(namespace, now: now, work: &slice) }
                return holdTimes.measure(.listing) { shard.prepareIndex(namespace, now: now, work: &slice) }
            }
            work += slice
            switch progress {
            case .ready: return .ready
            case .outOfMemory: return .outOfMemory
            case .busy: return .building
            case .building: if work <= 0 { return .building }
            case .gathered(var keys, let listed):
                work -= keys.count / Self.keysSortedPerWork
                keys.sort()
                hold(index) { _ in listed.takeBack(keys) }
                if work <= 0 { return .building }
            }
        }
    }

    /// Sorting so many keys takes about as long as looking at one entry.
    private static var keysSortedPerWork: Int { 2 }
    /// How many entries are looked at while a shard is locked: some 20 us.
    private static var entriesPerHold: Int { 256 }
    /// How many keys are copied while a shard is locked.
    private static var itemsPerHold: Int { 64 }
    /// How many bytes are copied while a shard is locked, one whole value more at most.
    private static var bytesPerHold: Int { 32 << 10 }

    /// Fetches items from a run's shard if it has none left, and puts it in its place in the order.
    ///
    /// - Returns: Why the page cannot go on at the moment; nil when it can.
    private func fill(
        _ merge: inout ListingMerge, _ run: Int, _ listing: borrowing Listing, _ work: inout Int
    ) -> ListingResult.Outcome? {
        while merge.runs[run].items == 0 && !merge.runs[run].isEnded {
            merge.beginFetch(run)
            let fetched = hold(run) { shard in
                shard.fetch(listing, &merge.runs[run], bytesMax: Self.bytesPerHold, into: &merge.scratch, &work)
            }
            merge.lsn = max(merge.lsn, merge.runs[run].lsn)
            if let fetched {
                merge.runs[run].items = fetched
                merge.runs[run].itemsMax = min(2 * merge.runs[run].itemsMax, Self.itemsPerHold)
            } else {
                // Its index went since the listing began: it is made anew.
                switch prepareIndex(run, listing.namespace, listing.now, &work) {
                case .ready: break
                case .building: return .unfinished
                case .outOfMemory: return .outOfMemory
                }
            }
        }
        if merge.runs[run].items > 0 { merge.push(run) }
        return nil
    }
}

/// The runs of all shards, the one with the lowest next key first.
private struct ListingMerge: ~Copyable {
    var runs: [ListingRun]
    var scratch = ByteBuffer()
    /// The latest of all runs.
    var lsn = LSN.zero
    /// A binary heap of runs that have an item.
    private var heap: [Int] = []

    init(runs count: Int, beginning run: ListingRun) {
        runs = Array(repeating: run, count: count)
        heap.reserveCapacity(count)
    }

    var first: Int? { heap.first }

    @_lifetime(borrow self)
    func bytes(_ position: Int) -> RawSpan { scratch.span(ByteRange(start: position, count: scratch.count - position)) }

    @_lifetime(borrow self)
    func key(_ position: Int) -> RawSpan { ListingItem.key(bytes(position)) }

    /// Whether the run's next item is the common prefix that stands at `last`: other shards have keys with it as well.
    func isRepeated(_ run: Int, _ last: Int?) -> Bool {
        guard let last, ListingItem(bytes(runs[run].position)).isPrefix else { return false }
        return key(runs[run].position).hasSameBytes(as: key(last))
    }

    mutating func beginFetch(_ run: Int) { runs[run].position = scratch.count }

    /// Takes the first run out of the order and moves it to its next item.
    mutating func advance(_ run: Int) {
        pop()
        runs[run].position += ListingItem(bytes(runs[run].position)).byteCount
        runs[run].items -= 1
    }

    mutating func push(_ run: Int) {
        heap.append(run)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(heap[child], heap[least]) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        key(runs[left].position).compare(to: key(runs[right].position)) < 0
    }
}
