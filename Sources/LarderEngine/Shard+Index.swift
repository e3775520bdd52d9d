// The ordered indexes' side of a shard: hearing of every change, being built, being read.

import LarderBytes
import LarderPlatform

/// Whether an index can be read.
package enum ListingReadiness: Equatable, Sendable {
    case ready
    /// There is more to do first.
    case building
    /// There is no memory for it.
    case outOfMemory
}

/// What a step of making an index has come to.
enum IndexProgress {
    case ready
    /// There is more to do in the shard.
    case building
    /// These are to be sorted with the shard unlocked, and given back (`ListedNamespace.takeBack`).
    case gathered(KeyCollection, ListedNamespace)
    /// Somebody else is at it.
    case busy
    case outOfMemory
}

extension Shard {
    // MARK: Hearing of changes. Namespaces that were never listed have no index, and cost one test.

    mutating func indexInsert(_ reference: Reference, _ entry: Entry) {
        guard !indexes.isEmpty, let listed = indexes[entry.namespaceSlot] else { return }
        // An index that lacks a key is of no use: without memory for it, it goes, and the next listing begins another.
        if !listed.index.insert(reference, &slab) { indexes.remove(entry.namespaceSlot) }
    }

    mutating func indexReplace(_ reference: Reference, with replacement: Reference, _ entry: Entry) {
        guard !indexes.isEmpty, let listed = indexes[entry.namespaceSlot] else { return }
        if listed.isComplete { return listed.index.replace(reference, with: replacement) }
        // The former reference may have been gathered and not placed, and is of no use any more.
        if !listed.index.insert(replacement, &slab) { indexes.remove(entry.namespaceSlot) }
    }

    mutating func indexRemove(_ reference: Reference, _ entry: Entry) {
        guard !indexes.isEmpty, let listed = indexes[entry.namespaceSlot] else { return }
        listed.index.remove(reference, &slab)
    }

    /// The namespace was flushed.
    mutating func indexDrop(namespaceSlot: UInt16) {
        if !indexes.isEmpty { indexes.empty(namespaceSlot, arena: arena) }
    }

    // MARK: Building

    /// Makes the namespace's index, or goes on making it, as far as `work` allows.
    ///
    /// - Parameter work: How many entries may be looked at; less what was, on return.
    mutating func prepareIndex(_ namespace: Namespace, now: Milliseconds, work: inout Int) -> IndexProgress {
        let slot = namespace.slot
        notice(namespace, flushLSN: namespace.flushLSN)
        let listed = indexes[slot] ?? makeIndex(slot, now: now)
        listed.lastListed = now
        switch listed.step {
        case .complete: return .ready
        case .sorting: return .busy
        case .gathering:
            gather(listed, namespace, &work)
            guard listed.isScanned || listed.gathered.isFull else { return .building }
            listed.step = .sorting
            var gathered = KeyCollection()
            swap(&gathered, &listed.gathered)
            return .gathered(gathered, listed)
        case .placing:
            repeat {
                guard place(listed, namespace, &work) else {
                    indexes.remove(slot)
                    return .outOfMemory
                }
            } while work >= OrderedIndex.runMax && !listed.gathered.isUsedUp
            if listed.gathered.isUsedUp { listed.step = listed.isScanned ? .complete : .gathering }
            guard listed.isComplete else { return .building }
            listed.gathered = KeyCollection()
            return .ready
        }
    }

    private mutating func makeIndex(_ slot: UInt16, now: Milliseconds) -> ListedNamespace {
        let listed = indexes.make(slot, arena: arena, now: now)
        listed.gathered.reserve(namespaces[slot].keys)
        return listed
    }

    /// Notes entries of the namespace that the table's next buckets hold.
    private func gather(_ listed: ListedNamespace, _ namespace: Namespace, _ work: inout Int) {
        let (slot, flushLSN) = (namespace.slot, namespace.flushLSN)
        var references: [Reference] = []
        while work > 0 && !listed.isScanned {
            let before = references.count
            let goesOn = table.scan(&listed.cursor) { reference, _ in
                let entry = table.entry(reference)
                if entry.namespaceSlot == slot && entry.lsn > flushLSN { references.append(reference) }
            }
            // Little is done with an entry, so one bucket ahead would be too late.
            table.prefetchScan(listed.cursor, ahead: Self.bucketsAhead)
            work -= Self.workPerBucket + references.count - before
            listed.isScanned = !goesOn
        }
        listed.gathered.add(references) { table.entry($0) }
    }

    /// Puts keys that were gathered and sorted into the index: those that ascend together, as they should all do, the others one by
    /// one.
    ///
    /// An entry may have gone since, and its memory may be another's. But whatever entry of the namespace lies there now belongs
    /// into the index.
    ///
    /// - Returns: false when there is no memory.
    private mutating func place(_ listed: ListedNamespace, _ namespace: Namespace, _ work: inout Int) -> Bool {
        var run: [Reference] = []
        var others: [Reference] = []
        run.reserveCapacity(OrderedIndex.runMax)
        while work > 0, run.count < OrderedIndex.runMax, let reference = listed.gathered.takeNext() {
            work -= 1
            if let ahead = listed.gathered.ahead(Self.entriesAhead) { slab.prefetch(ahead) }
            guard slab.isLiveEntry(reference) else { continue }
            let entry = table.entry(reference)
            guard entry.namespaceSlot == namespace.slot, entry.lsn > namespace.flushLSN else { continue }
            if let last = run.last, table.entry(last).key.compare(to: entry.key) >= 0 {
                others.append(reference)
            } else {
                run.append(reference)
            }
        }
        if run.count < OrderedIndex.runMax / 4 || !listed.index.insert(run: run, &slab) { others += run }
        for reference in others where !listed.index.insert(reference, &slab) { return false }
        work -= others.count
        return true
    }

    /// Whether there is something to put in order first.
    func lacksIndex(_ namespace: Namespace) -> Bool { !(indexes[namespace.slot]?.isComplete ?? false) }

    private static var workPerBucket: Int { 8 }
    private static var entriesAhead: Int { 8 }
    private static var bucketsAhead: Int { 2 }

    /// Discards indexes that nobody has read since `time`, and gives some of the memory of discarded ones back.
    ///
    /// - Returns: Whether there is more to give back.
    mutating func tidyIndexes(idleSince time: Milliseconds, leavesMax: Int) -> Bool {
        if !indexes.isEmpty { indexes.removeIdle(before: time) }
        return indexes.hasDiscarded && indexes.freeDiscarded(leavesMax: leavesMax, &slab)
    }

    // MARK: Reading

    /// Copies the next items of a listing, beginning with the key at or after `listing.bound`, which moves on.
    ///
    /// - Parameter work: Less how many entries were looked at, on return.
    /// - Returns: How many; nil when the index has to be built first.
    mutating func fetch(
        _ listing: borrowing Listing, _ run: inout ListingRun, bytesMax: Int, into scratch: inout ByteBuffer, _ work: inout Int
    ) -> Int? {
        let flushLSN = listing.namespace.flushLSN
        notice(listing.namespace, flushLSN: flushLSN)
        guard let listed = indexes[listing.namespace.slot], listed.isComplete else { return nil }
        listed.lastListed = listing.now
        run.lsn = max(run.lsn, missLSN(flushLSN: flushLSN))
        let bytesEnd = scratch.count + bytesMax
        var items = 0
        var place = unsafe listed.index.position(from: run.bound.span.bytes, inclusive: run.isInclusive)
        work -= 1
        listed.index.prefetch(from: place)
        for _ in 0..<Listing.examinedMax {
            guard items < run.itemsMax, scratch.count < bytesEnd, let reference = listed.index[place] else { break }
            let entry = table.entry(reference)
            let key = entry.key
            work -= 1
            guard key.hasPrefix(listing.prefix) else {
                run.isEnded = true
                return items
            }
            run.lsn = max(run.lsn, entry.lsn)
            guard entry.lsn > flushLSN, !entry.deadline.isDue(listing.now) else {
                place = listed.index.after(place)
                continue
            }
            items += 1
            guard let common = listing.commonPrefix(of: key) else {
                ListingItem.append(entry, withValue: listing.withValues, to: &scratch)
                place = listed.index.after(place)
                continue
            }
            ListingItem.append(commonPrefix: common, to: &scratch)
            guard let next = skip(common, in: listed.index, from: place, &work) else {
                run.isEnded = true
                return items
            }
            place = next
        }
        guard let next = listed.index[place] else {
            run.isEnded = true
            return items
        }
        run.bound = Array(table.entry(next).key)
        run.isInclusive = true
        return items
    }

    /// The place after all keys that begin with `common`: a few steps on, or found by searching. nil at the end.
    private func skip(
        _ common: RawSpan, in index: OrderedIndex, from place: OrderedIndex.Position, _ work: inout Int
    ) -> OrderedIndex.Position? {
        var next = place
        for _ in 0..<Self.stepsBeforeSearching {
            next = index.after(next)
            guard let reference = index[next] else { return nil }
            work -= 1
            if !table.entry(reference).key.hasPrefix(common) { return next }
        }
        guard let bound = Listing.successor(of: common) else { return nil }
        return unsafe index.position(from: bound.span.bytes, inclusive: true)
    }

    /// With many shards few of the keys that share a prefix are in each.
    private static var stepsBeforeSearching: Int { 6 }
}
