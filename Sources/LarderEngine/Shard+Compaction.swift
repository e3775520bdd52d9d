// Moves entries out of pages that hardly anything is left in, so that the pages can be given back.
//
// Needed where what is stored becomes longer or shorter over the days: the slots of the former sizes fall free here and
// there, and a page goes only when its last entry does. A part of upkeep, in steps that are bounded by bytes.

import LarderPlatform

extension Shard {
    /// How many bytes are moved while the shard is locked, one entry more at most.
    private static var bytesPerHold: Int { 16 << 10 }

    /// After a look at all pages that found none to drain, so long until the next.
    private static var pause: Milliseconds { 10_000 }

    /// Whether a call of `compact` may have something to do.
    func isCompactionDue(at now: Milliseconds) -> Bool {
        slab.isDraining || slab.isSparse && !(compactSince <= now && now < compactSince + Self.pause)
    }

    /// Moves some entries, if there is reason to.
    ///
    /// - Parameter work: Less one for every entry that was moved, on return.
    /// - Returns: Whether there is more to do at once.
    mutating func compact(now: Milliseconds, work: inout Int) -> Bool {
        guard isCompactionDue(at: now) else { return false }
        if !slab.isDraining {
            let isRound = slab.findPageToDrain(notOf: indexes.isEmpty && !indexes.hasDiscarded ? nil : OrderedIndex.leafBytes)
            work -= Self.workToLook
            if isRound && !foundPageToDrain && !slab.isDraining { compactSince = now }
            foundPageToDrain = slab.isDraining || foundPageToDrain && !isRound
            if !slab.isDraining { return isCompactionDue(at: now) }
        }
        var rest = Self.bytesPerHold
        while work > 0, rest > 0, let reference = slab.nextToMove() {
            let bytes = table.entry(reference).byteCount
            guard move(reference) else {
                slab.stopDraining()
                compactSince = now
                return false
            }
            rest -= bytes
            work -= Self.workToMove
        }
        return true
    }

    /// What looking for a page is counted as, and what moving an entry.
    private static var workToLook: Int { 16 }
    private static var workToMove: Int { 4 }

    /// Copies an entry elsewhere, and tells all who refer to it.
    ///
    /// - Returns: false when there is no memory; nothing has changed then.
    private mutating func move(_ reference: Reference) -> Bool {
        let entry = table.entry(reference)
        let position = table.position(entry)
        guard let place = table.find(position, reference), !entry.hasDeadline || wheel.prepare(&slab),
            let target = slab.allocate(entry.byteCount)
        else { return false }
        let links = entry.hasLinks ? takeLinks(entry, staying: true) : nil
        let copy = table.entry(target)
        copy.copy(entry)
        if let links { relink(target, copy, links) }
        indexReplace(reference, with: target, entry)
        table[place] = target
        wheel.disarm(entry)
        slab.free(reference, entry.byteCount)
        wheel.arm(target, &slab)
        return true
    }
}
