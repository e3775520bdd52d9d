// Who goes when a namespace is full: S3-FIFO, a step at a time.
//
// What is new waits in the small queue. When it comes to its end there, it moves to the main one if it was used at least
// twice, and else it is evicted and remembered; if it comes back while it is remembered, it goes to the main queue at once.
// At the end of the main queue an entry that was used goes round again, once for every use. A use is a read or a write.
// Source: J. Yang et al., "FIFO Queues Are All You Need for Cache Eviction", SOSP 2023, and its authors' libCacheSim.

import LarderBytes
import LarderPlatform

/// What a snapshot says of an entry's use, in one byte: 0 for nothing; else whether it was in the main queue, and how often it
/// was used.
struct AccessByte {
    var rawValue: UInt8

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ entry: Entry) { rawValue = entry.hasLinks ? 8 | (entry.isInMain ? 4 : 0) | entry.frequency : 0 }

    var isKnown: Bool { rawValue & 8 != 0 }
    var isInMain: Bool { rawValue & 4 != 0 }
    var frequency: UInt8 { rawValue & 3 }
}

extension Shard {
    /// How often an entry of the small queue must have been used to stay.
    private static var usesToStay: UInt8 { 2 }

    // MARK: Keeping the queues

    // Called for entries with links only, and never inlined, so that namespaces without eviction pay for no more than a look.

    /// What is known of an entry's place in its queue, before it is overwritten; takes it out when what comes is not `staying`.
    @inline(never) mutating func takeLinks(_ entry: Entry, staying: Bool) -> EntryLinks? {
        if staying { return EntryLinks(entry, bytes: chargedBytes(entry)) }
        unlink(entry)
        return nil
    }

    /// Puts an entry that was written into its queue: to where the one was that it replaces, or to the end.
    @inline(never)
    mutating func link(_ reference: Reference, _ entry: Entry, _ links: EntryLinks?, _ position: TablePosition) {
        let bytes = chargedBytes(entry)
        guard let links else { return enqueue(reference, entry, bytes: bytes, position) }
        entry.isInMain = links.isInMain
        entry.frequency = links.frequency
        entry.noteUse()
        if links.isInMain {
            queues[entry.namespaceSlot].main.replace(links, with: reference, entry, bytes: bytes, slab)
        } else {
            queues[entry.namespaceSlot].small.replace(links, with: reference, entry, bytes: bytes, slab)
        }
    }

    /// The same for an entry that has only been moved: no use of it.
    mutating func relink(_ reference: Reference, _ entry: Entry, _ links: EntryLinks) {
        let (slot, bytes) = (entry.namespaceSlot, chargedBytes(entry))
        if links.isInMain {
            queues[slot].main.replace(links, with: reference, entry, bytes: bytes, slab)
        } else {
            queues[slot].small.replace(links, with: reference, entry, bytes: bytes, slab)
        }
    }

    private mutating func enqueue(_ reference: Reference, _ entry: Entry, bytes: Int, _ position: TablePosition) {
        let slot = entry.namespaceSlot
        queues.open(slot)
        let window = queues[slot].ghostWindow
        let isKnown = queues[slot].ghost.take(position, window: window)
        if isKnown { queues[slot].ghostHits &+= 1 }
        if isKnown || queues[slot].fillsMain {
            pushMain(reference, entry, bytes: bytes)
        } else {
            queues[slot].small.push(reference, entry, bytes: bytes, slab)
        }
    }

    private mutating func pushMain(_ reference: Reference, _ entry: Entry, bytes: Int) {
        entry.isInMain = true
        queues[entry.namespaceSlot].main.push(reference, entry, bytes: bytes, slab)
    }

    /// Takes an entry out of its queue.
    @inline(never) mutating func unlink(_ entry: Entry) {
        if entry.isInMain {
            queues[entry.namespaceSlot].main.remove(entry, bytes: chargedBytes(entry), slab)
        } else {
            queues[entry.namespaceSlot].small.remove(entry, bytes: chargedBytes(entry), slab)
        }
    }

    /// Gives an entry that was loaded from a snapshot the place and the count of uses that it had.
    mutating func restoreAccess(_ reference: Reference, _ access: AccessByte) {
        let entry = slab.entry(reference)
        guard entry.hasLinks, access.isKnown else { return }
        entry.frequency = access.frequency
        if entry.isInMain == access.isInMain { return }
        unlink(entry)
        entry.isInMain = access.isInMain
        if access.isInMain {
            queues[entry.namespaceSlot].main.push(reference, entry, bytes: chargedBytes(entry), slab)
        } else {
            queues[entry.namespaceSlot].small.push(reference, entry, bytes: chargedBytes(entry), slab)
        }
    }

    // MARK: Evicting

    /// Frees `wanted` bytes of a namespace: what has expired first, then by evicting.
    ///
    /// - Parameter keysMin: With fewer keys than this nothing is evicted here.
    /// - Parameter steps: How many entries may be looked at; less what was, on return.
    /// - Returns: How many bytes are free now that were counted before.
    mutating func makeRoom(
        in namespace: Namespace, bytes wanted: Int, keysMin: Int, isForced: Bool, now: Milliseconds, steps: inout Int
    ) -> Int {
        notice(namespace, flushLSN: namespace.flushLSN)
        let before = namespaces[namespace.slot].charged
        _ = expire(now: now, work: &steps)
        let expired = before &- namespaces[namespace.slot].charged
        if expired < wanted && namespaces[namespace.slot].keys >= keysMin {
            return expired &+ evict(namespace, bytes: wanted &- expired, isForced: isForced, now: now, steps: &steps)
        }
        namespaces.report(namespace.slot)
        return expired
    }

    /// Evicts entries of a namespace until `wanted` bytes are free.
    ///
    /// - Parameter isForced: Whoever is at the end of its queue goes, however often it was used.
    /// - Parameter steps: How many entries may be looked at; less what was, on return.
    /// - Returns: How many bytes are free now that were counted before.
    mutating func evict(
        _ namespace: Namespace, bytes wanted: Int, isForced: Bool, now: Milliseconds, steps: inout Int
    ) -> Int {
        let slot = namespace.slot
        guard queues.has(slot) else { return 0 }
        let flushLSN = namespace.flushLSN
        notice(namespace, flushLSN: flushLSN)
        var freed = 0
        while freed < wanted && steps > 0 {
            let isMain = queues[slot].isMainNext
            let reference = isMain ? queues[slot].main.oldest : queues[slot].small.oldest
            if reference == 0 { break }
            steps -= 1
            let entry = slab.entry(reference)
            slab.prefetch(entry.newer)
            let bytes = chargedBytes(entry)
            if entry.lsn <= flushLSN {
                eraseDead(reference)
            } else if entry.deadline.isDue(now) {
                expiredTotal &+= 1
                events.tellGone(.expired, entry)
                eraseDead(reference)
                freed &+= bytes
            } else if !isForced && keep(reference, entry, bytes: bytes) {
                continue
            } else {
                evict(reference, entry, bytes: bytes)
                freed &+= bytes
            }
        }
        namespaces.report(slot)
        return freed
    }

    /// Gives an entry at the end of its queue another turn, if it has earned one.
    private mutating func keep(_ reference: Reference, _ entry: Entry, bytes: Int) -> Bool {
        let uses = entry.frequency
        if entry.isInMain {
            guard uses > 0 else { return false }
            unlink(entry)
            entry.frequency = uses - 1
        } else {
            guard uses >= Self.usesToStay else { return false }
            unlink(entry)
            entry.frequency = 0
        }
        pushMain(reference, entry, bytes: bytes)
        return true
    }

    /// Erases an entry and remembers it if it was new. Nothing depends on this miss: the log still has the entry.
    private mutating func evict(_ reference: Reference, _ entry: Entry, bytes: Int) {
        let slot = entry.namespaceSlot
        let position = table.position(entry)
        if !entry.isInMain {
            let (window, entries) = (queues[slot].ghostWindow, queues[slot].ghostEntries)
            queues[slot].ghost.insert(position, bytes: bytes, window: window, entries: entries)
        }
        events.tellGone(.evicted, entry)
        queues[slot].hasEvicted = true
        queues[slot].evictedEntries &+= 1
        queues[slot].evictedBytes &+= bytes
        erase(reference, position)
    }
}
