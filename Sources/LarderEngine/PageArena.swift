// The memory of all shards: one range of addresses, handed out in runs of 4 KiB units.
//
// Knows who owns a unit and what kind of run it belongs to, so that a reference that has gone stale can be recognised
// without being followed. Refuses to know what is stored. The only thing that shards share; its lock is a leaf and is taken
// once for a page of entries, not for an entry.
//
// Unsafe, and sound because: every address is computed from a unit number below `unitCount`, which bounds the mapping;
// the bitmaps are touched only under the lock; the owners' words are atomic.

import LarderPlatform
import Synchronization

/// A reference to memory of the arena: its distance from the start in granules of 8 bytes. 0 is no reference.
typealias Reference = UInt32

/// Runs of units from one reserved range of memory.
@safe package final class PageArena: @unchecked Sendable {
    static let unitBytes = 4_096
    static let granuleBytes = 8
    /// What a reference reaches.
    package static let bytesMax = 32 << 30
    /// The largest aligned run.
    static let alignedUnitsMax = 16
    /// How many words of the bitmap one allocation looks at, besides the hint's, before it takes fresh memory.
    private static let searchWordsMax = 1_024
    /// How many units that were never handed out the kernel is asked to back ahead of their first use, at least.
    private static let unitsAhead = 64
    /// With fewer units left that were never handed out, none are taken from others while the kernel works: twice as many as the longest
    /// run that anybody asks for, which holds the largest value.
    private static let unitsSpared = 2 * (Entry.valueBytesMax / unitBytes)
    /// The kernel is asked for no less of a word.
    private static let unitsWorthTaking = 8
    /// How many units are given back to the kernel at a time, that is without others being able to use them.
    private static let discardUnitsMax = 64

    private let pages: Pages
    private let bitmaps: Pages
    private let ownerPages: Pages
    private let unitCount: Int
    private let wordCount: Int

    /// Where references count from.
    let base: UnsafeMutableRawPointer
    /// Bit set: in use.
    private let used: UnsafeMutablePointer<UInt64>
    /// Bit set: free, and the kernel may still hold memory for it.
    private let dirty: UnsafeMutablePointer<UInt64>
    private let owners: UnsafeMutablePointer<Atomic<UInt32>>

    // Guarded by `lock`.
    private let lock = Lock()
    /// Units from here on were never handed out.
    private var freshUnit = 1
    /// Units up to here are backed by memory, or were.
    private var populatedUnit = 1
    private var smallHint = 0
    private var dirtyHint = 0
    private var freedHint = 0
    private var largeHint = 0
    private var dirtyLargeHint = 0
    private var trimHint = 0

    private let unitsUsed = Atomic<Int>(0)
    private let unitsDirty = Atomic<Int>(0)

    /// Reserves addresses for `bytesMax` bytes, or for as much as the kernel grants.
    ///
    /// - Returns: nil when it does not even grant 16 MiB.
    package init?(bytesMax: Int, largePages: Bool = false) {
        let limit = min(max(bytesMax, 1 << 20), Self.bytesMax)
        guard let pages = Self.reserve(limit, largePages), let bitmaps = Pages(reserving: Self.bitmapBytes(pages) * 2),
            let ownerPages = Pages(reserving: (pages.byteCount / Self.unitBytes * 4 + 4_095) & ~4_095)
        else { return nil }
        unitCount = pages.byteCount / Self.unitBytes
        wordCount = (unitCount + 63) / 64
        unsafe base = pages.base
        unsafe used = bitmaps.base.assumingMemoryBound(to: UInt64.self)
        unsafe dirty = (bitmaps.base + Self.bitmapBytes(pages)).assumingMemoryBound(to: UInt64.self)
        // All bits zero is an `Atomic` of zero: its only field is the word.
        unsafe owners = ownerPages.base.assumingMemoryBound(to: Atomic<UInt32>.self)
        self.pages = pages
        self.bitmaps = bitmaps
        self.ownerPages = ownerPages
        // Unit 0 would make reference 0, which means none.
        unsafe used[0] |= 1
    }

    private static func reserve(_ bytesMax: Int, _ largePages: Bool) -> Pages? {
        var byteCount = (bytesMax + unitBytes * 64 - 1) / (unitBytes * 64) * (unitBytes * 64)
        while true {
            if let pages = Pages(reserving: byteCount, largePages: largePages) { return pages }
            if byteCount <= 16 << 20 { return nil }
            byteCount = byteCount / 2 / (unitBytes * 64) * (unitBytes * 64)
        }
    }

    private static func bitmapBytes(_ pages: borrowing Pages) -> Int {
        (pages.byteCount / unitBytes / 8 + 4_095) & ~4_095
    }

    // MARK: References

    /// The address that `reference` stands for.
    @inline(__always) func address(_ reference: Reference) -> UnsafeMutableRawPointer {
        unsafe base + (Int(reference) &* Self.granuleBytes)
    }

    @inline(__always) func reference(_ address: UnsafeMutableRawPointer) -> Reference {
        Reference(truncatingIfNeeded: unsafe (address - base) / Self.granuleBytes)
    }

    @inline(__always) func unit(of reference: Reference) -> Int { Int(reference) &* Self.granuleBytes / Self.unitBytes }

    @inline(__always) func reference(ofUnit unit: Int) -> Reference {
        Reference(truncatingIfNeeded: unit &* Self.unitBytes / Self.granuleBytes)
    }

    /// What the owner of a unit wrote about it; 0 when nobody owns it. Another shard may change it at any time, unless it
    /// names the caller's shard, whose lock the caller holds.
    @inline(__always) func owner(ofUnit unit: Int) -> UInt32 {
        unsafe owners[unit].load(ordering: .relaxed)
    }

    // MARK: Runs

    /// A run of `unitsNeeded` units, labelled with `owner`. Its bytes are whatever they were.
    ///
    /// - Parameter aligned: The run starts at a multiple of its size; it has 1, 2, 4, 8 or 16 units.
    /// - Returns: nil when there is no such run.
    func allocate(_ unitsNeeded: Int, aligned: Bool = false, owner: UInt32) -> Reference? {
        precondition(unitsNeeded > 0 && owner != 0, "not a run that anybody could own")
        precondition(!aligned || (unitsNeeded & (unitsNeeded - 1) == 0 && unitsNeeded <= Self.alignedUnitsMax))
        lock.lock()
        defer { lock.unlock() }
        guard let first = aligned ? findAligned(unitsNeeded) : findRun(unitsNeeded) else { return nil }
        mark(first, unitsNeeded, used: true)
        for unit in first..<(first + unitsNeeded) { unsafe owners[unit].store(owner, ordering: .relaxed) }
        return reference(ofUnit: first)
    }

    /// Labels the first unit of the caller's run anew.
    func relabel(_ reference: Reference, _ owner: UInt32) {
        unsafe owners[unit(of: reference)].store(owner, ordering: .relaxed)
    }

    /// Takes the run back.
    func free(_ reference: Reference, units: Int) {
        let first = unit(of: reference)
        precondition(first > 0 && units > 0 && units <= unitCount - first, "run leaves the arena")
        lock.lock()
        defer { lock.unlock() }
        for unit in first..<(first + units) { unsafe owners[unit].store(0, ordering: .relaxed) }
        mark(first, units, used: false)
        if units <= Self.alignedUnitsMax { smallHint = min(smallHint, first / 64) }
        lowerBackedHints(to: first / 64)
        largeHint = min(largeHint, first / 64)
    }

    /// Memory that the kernel backs comes first: to have it back takes time, and the caller holds a shard. What is not found soon is not
    /// waited for; the next search goes on from there.
    private func findAligned(_ units: Int) -> Int? {
        if unitsDirty.load(ordering: .relaxed) >= units {
            let word = search(from: &dirtyHint, atMost: Self.searchWordsMax) { unsafe Self.alignedRun(dirty[$0], units) != nil }
            if let word, let bit = Self.alignedRun(unsafe dirty[word], units) { return word * 64 + bit }
        }
        if freeBelowFresh >= units {
            let word = search(from: &smallHint) { unsafe Self.alignedRun(~used[$0], units) != nil }
            if let word, let bit = Self.alignedRun(~(unsafe used[word]), units), word * 64 + bit + units <= freshUnit {
                return word * 64 + bit
            }
        }
        return takeFresh(units, alignment: units)
    }

    private func findRun(_ units: Int) -> Int? {
        if unitsDirty.load(ordering: .relaxed) >= units, let first = findRun(units, from: &dirtyLargeHint, isBacked: true) { return first }
        if freeBelowFresh >= units, let first = findRun(units, from: &largeHint, isBacked: false) { return first }
        if let first = takeFresh(units, alignment: 1) { return first }
        return searchEverywhere(units)
    }

    /// A long run holds at least one word that is free as a whole, or begins in one and ends in the next; looking for a word with any
    /// free unit and counting from there finds both.
    private func findRun(_ units: Int, from hint: inout Int, isBacked: Bool) -> Int? {
        var word = min(hint, freshUnit / 64)
        var looked = 0
        while word * 64 < freshUnit, looked < Self.searchWordsMax {
            if let first = firstRun(units, in: word, isBacked, &looked) {
                hint = word
                return first
            }
            word += 1
            looked += 1
        }
        hint = word * 64 < freshUnit ? word : 0
        return nil
    }

    /// The first free run of `units` that begins in `word` and ends below the fresh units.
    ///
    /// - Parameter isBacked: Every unit of it has to be backed by the kernel.
    private func firstRun(_ units: Int, in word: Int, _ isBacked: Bool, _ looked: inout Int) -> Int? {
        var free = unsafe isBacked ? dirty[word] : ~used[word]
        while free != 0 {
            let start = word * 64 + free.trailingZeroBitCount
            let length = freeLength(from: start, atMost: units, isBacked)
            looked += length / 64
            if length >= units { return start }
            let next = start + length + 1
            if next / 64 != word { return nil }
            free &= ~0 << UInt64(next % 64)
        }
        return nil
    }

    private func freeLength(from start: Int, atMost limit: Int, _ isBacked: Bool) -> Int {
        var unit = start
        let end = min(start + limit, freshUnit)
        while unit < end {
            let occupied = unsafe (isBacked ? ~dirty[unit / 64] : used[unit / 64]) >> UInt64(unit % 64)
            let free = min(occupied.trailingZeroBitCount, 64 - unit % 64)
            unit += free
            if free == 0 || unit % 64 != 0 { break }
        }
        return max(min(unit, end) - start, 0)
    }

    /// When no fresh memory is left, the whole bitmap decides: 128 Ki words at most.
    private func searchEverywhere(_ units: Int) -> Int? {
        var ignored = 0
        for word in 0..<((freshUnit + 63) / 64) {
            if let first = firstRun(units, in: word, false, &ignored) { return first }
        }
        return nil
    }

    /// The first word at or after the hint whose number `matches`; the hint follows. Bounded while there is fresh memory.
    private func search(from hint: inout Int, atMost limit: Int = .max, _ matches: (Int) -> Bool) -> Int? {
        let words = (freshUnit + 63) / 64
        let bound = freshUnit < unitCount ? min(words, Self.searchWordsMax) : words
        var word = hint < words ? hint : 0
        for _ in 0..<min(bound, limit) {
            if matches(word) {
                hint = word
                return word
            }
            word = word + 1 < words ? word + 1 : 0
        }
        hint = word
        return nil
    }

    /// The first bit at a multiple of `units` from which `units` bits are set.
    private static func alignedRun(_ free: UInt64, _ units: Int) -> Int? {
        var starts = free
        var width = 1
        while width < units {
            starts &= starts >> UInt64(width)
            width *= 2
        }
        let grid: UInt64 =
            switch units {
            case 1: ~0
            case 2: 0x5555_5555_5555_5555
            case 4: 0x1111_1111_1111_1111
            case 8: 0x0101_0101_0101_0101
            default: 0x0001_0001_0001_0001
            }
        starts &= grid
        return starts == 0 ? nil : starts.trailingZeroBitCount
    }

    /// Where the lowest set bits are that stand together; there is one.
    private static func lowestRun(_ bits: UInt64) -> (start: Int, count: Int) {
        let start = bits.trailingZeroBitCount
        return (start, min((~(bits >> UInt64(start))).trailingZeroBitCount, 64 - start))
    }

    /// Has searches for backed memory begin no later than at this word.
    private func lowerBackedHints(to word: Int) {
        dirtyHint = min(dirtyHint, word)
        dirtyLargeHint = min(dirtyLargeHint, word)
    }

    private func takeFresh(_ units: Int, alignment: Int) -> Int? {
        let first = (freshUnit + alignment - 1) / alignment * alignment
        guard units <= unitCount - first else { return nil }
        freshUnit = first + units
        return first
    }

    private var freeBelowFresh: Int { freshUnit - unitsUsed.load(ordering: .relaxed) - 1 }

    private func mark(_ first: Int, _ count: Int, used isUsed: Bool) {
        var unit = first
        var wasDirty = 0
        while unit < first + count {
            let bits = min(64 - unit % 64, first + count - unit)
            let mask: UInt64 = (bits == 64 ? ~0 : (1 << UInt64(bits)) - 1) << UInt64(unit % 64)
            let word = unit / 64
            if isUsed {
                precondition(unsafe used[word] & mask == 0, "a unit has two owners")
                wasDirty += unsafe (dirty[word] & mask).nonzeroBitCount
                unsafe used[word] |= mask
                unsafe dirty[word] &= ~mask
            } else {
                precondition(unsafe used[word] & mask == mask, "a free unit is freed")
                unsafe used[word] &= ~mask
                unsafe dirty[word] |= mask
            }
            unit += bits
        }
        unitsUsed.wrappingAdd(isUsed ? count : -count, ordering: .relaxed)
        unitsDirty.wrappingAdd(isUsed ? -wasDirty : count, ordering: .relaxed)
    }

    // MARK: The kernel

    /// Has the kernel back the units that are handed out next. To be called before a lock is taken under which memory may be
    /// needed: the first write to a fresh large page takes as long as clearing 2 MiB, or longer where the machine is virtual.
    ///
    /// - Complexity: O(1) most of the time; no lock is held for the kernel.
    func populateAhead() {
        lock.lock()
        let (first, needed, free) = (populatedUnit, freshUnit + Self.unitsAhead, freeBelowFresh)
        lock.unlock()
        if needed > first { populate(from: first, to: needed) }
        // Gaps of a few units are not worth a search.
        let dirty = unitsUntrimmed
        if dirty < Self.unitsAhead, free - dirty >= Self.unitsAhead { populateFreed() }
    }

    /// Has the kernel back free units that were given back to it: a large page, where all of it was, since that is what the first
    /// write to it would bring.
    private func populateFreed() {
        lock.lock()
        let freed = takeFreed()
        lock.unlock()
        guard let (first, count) = freed else { return }
        pages.populate(offset: first * Self.unitBytes, byteCount: count * Self.unitBytes)
        lock.lock()
        mark(first, count, used: false)
        smallHint = min(smallHint, first / 64)
        lowerBackedHints(to: first / 64)
        lock.unlock()
    }

    /// Takes units that are free and that the kernel does not back, so that nobody uses them meanwhile: those of one word, or of a
    /// large page. None where that could leave another without any.
    private func takeFreed() -> (first: Int, count: Int)? {
        guard unitCount - freshUnit >= Self.unitsSpared else { return nil }
        let whole = freshUnit / 64
        let found = search(from: &freedHint) {
            unsafe $0 < whole && (~(used[$0] | dirty[$0])).nonzeroBitCount >= Self.unitsWorthTaking
        }
        guard let word = found else { return nil }
        let wordsPerPage = Pages.alignment / Self.unitBytes / 64
        let page = word / wordsPerPage * wordsPerPage
        var (first, count) = (page * 64, wordsPerPage * 64)
        if page + wordsPerPage > whole || !(page..<(page + wordsPerPage)).allSatisfy({ unsafe used[$0] | dirty[$0] == 0 }) {
            let run = Self.lowestRun(unsafe ~(used[word] | dirty[word]))
            (first, count) = (word * 64 + run.start, run.count)
        }
        mark(first, count, used: true)
        return (first, count)
    }

    /// Two that come at the same time both wait for the kernel: a slow one may not leave the other to a page that is not there yet.
    private func populate(from first: Int, to needed: Int) {
        let grain = Pages.alignment / Self.unitBytes
        let end = min((needed + grain - 1) / grain * grain, unitCount)
        guard end > first else { return }
        pages.populate(offset: first * Self.unitBytes, byteCount: (end - first) * Self.unitBytes)
        lock.lock()
        populatedUnit = max(populatedUnit, end)
        lock.unlock()
    }

    /// Gives free memory back to the kernel, at most `unitsMax` units, down to a reserve for the next allocations.
    ///
    /// - Returns: Whether there is more to give.
    /// - Complexity: O(unitsMax); the lock is held for at most `searchWordsMax` words at a time, and never for the kernel.
    func trim(unitsMax: Int) -> Bool {
        var rest = unitsMax
        while rest > 0, excess > 0 {
            let (first, count) = takeDirty(min(rest, Self.discardUnitsMax))
            guard count > 0 else { return excess > 0 }
            pages.discard(offset: first * Self.unitBytes, byteCount: count * Self.unitBytes)
            lock.lock()
            mark(first, count, used: false)
            markClean(first, count)
            lock.unlock()
            rest -= count
        }
        return excess > 0
    }

    /// Keeps an eighth of what is in use, and at least 1 MiB.
    private var excess: Int {
        unitsDirty.load(ordering: .relaxed) - max(256, unitsUsed.load(ordering: .relaxed) / 8)
    }

    /// Takes dirty units from one word of the bitmap, so that nobody uses them while the kernel does.
    private func takeDirty(_ unitsMax: Int) -> (first: Int, count: Int) {
        lock.lock()
        defer { lock.unlock() }
        let words = (freshUnit + 63) / 64
        var word = trimHint < words ? trimHint : 0
        for _ in 0..<min(words, Self.searchWordsMax) {
            let bits = unsafe dirty[word]
            if bits != 0 {
                let run = Self.lowestRun(bits)
                let (first, count) = (word * 64 + run.start, min(run.count, unitsMax))
                trimHint = word
                mark(first, count, used: true)
                return (first, count)
            }
            word = word + 1 < words ? word + 1 : 0
        }
        trimHint = word
        return (0, 0)
    }

    private func markClean(_ first: Int, _ count: Int) {
        for unit in first..<(first + count) { unsafe dirty[unit / 64] &= ~(1 << UInt64(unit % 64)) }
        unitsDirty.wrappingAdd(-count, ordering: .relaxed)
    }

    /// The same for `bytes` at once, from the beginning on, for a store that is about to be filled.
    func populate(bytes: Int) {
        let end = min(bytes / Self.unitBytes, unitCount)
        while true {
            lock.lock()
            let first = populatedUnit
            lock.unlock()
            if first >= end { return }
            populate(from: first, to: min(first + Self.unitsPopulatedAtOnce, end))
        }
    }

    private static let unitsPopulatedAtOnce = 4_096

    // MARK: Figures

    /// How many units are handed out.
    package var unitsInUse: Int { unitsUsed.load(ordering: .relaxed) }
    /// How many free units the kernel may still hold memory for.
    package var unitsUntrimmed: Int { unitsDirty.load(ordering: .relaxed) }
    package var bytesInUse: Int { unitsInUse * Self.unitBytes }
    /// How much there is in all, from the first address to the last.
    package var byteCount: Int { unitCount &* Self.unitBytes }

    /// Asserts that the bitmaps agree with the counts and with the owners.
    package func checkInvariants() {
        lock.lock()
        defer { lock.unlock() }
        var usedCount = 0
        var dirtyCount = 0
        for word in 0..<((freshUnit + 63) / 64) {
            precondition(unsafe used[word] & dirty[word] == 0, "a unit is both used and free")
            usedCount += unsafe used[word].nonzeroBitCount
            dirtyCount += unsafe dirty[word].nonzeroBitCount
        }
        precondition(usedCount - 1 == unitsInUse, "used units are miscounted")
        precondition(dirtyCount == unitsUntrimmed, "dirty units are miscounted")
    }
}
