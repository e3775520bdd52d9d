// The memory of one shard's entries: slots of fixed sizes, cut from pages of the arena.
//
// Knows sizes, not entries, but for one word: the first of a slot. It is zero while the slot is free and never zero while
// an entry lies there (its LSN), which is how a stale reference is recognised.
//
// Unsafe, and sound because a slot is handed out once until it is freed, a page belongs to one shard, whose lock the caller
// holds, and every address is a slot of a page or a run that the arena gave.

import CLarderIntrinsics

/// Slots for entries, and for the chunks of the timing wheel.
@safe struct Slab: ~Copyable {
    private let arena: PageArena
    private let classes = SlabClasses.shared
    /// For each class a page with a free slot, or 0.
    private let partial: UnsafeMutablePointer<Reference>
    /// For each class the units of its pages.
    private let held: UnsafeMutablePointer<UInt32>
    private let base: UnsafeMutableRawPointer
    /// What this shard writes into the arena's owner words, above the low 16 bits.
    private let label: UInt32

    /// The page that is being drained, or 0; its class; and the slot to go on with.
    private var drained: Reference = 0
    private var drainedClass = 0
    private var drainedSlot = 0
    /// The class to look at next for a page to drain.
    private var nextToDrain = 0

    /// Bytes of slots and runs in use.
    private(set) var bytesInUse = 0
    /// Bytes of the arena that this slab holds.
    private(set) var bytesHeld = 0

    init(arena: PageArena, shard: Int) {
        self.arena = arena
        label = Self.label(shard: shard)
        unsafe base = arena.base
        unsafe partial = .allocate(capacity: classes.count)
        unsafe partial.initialize(repeating: 0, count: classes.count)
        unsafe held = .allocate(capacity: classes.count)
        unsafe held.initialize(repeating: 0, count: classes.count)
    }

    deinit {
        // Pages stay with the arena, which outlives every slab and goes with them.
        unsafe partial.deallocate()
        unsafe held.deallocate()
    }

    // MARK: Entries

    /// Memory for `bytes`, or nil when there is none. Its first word is zero; the rest is whatever it was.
    ///
    /// - Parameter sharing: Where there is no page of its size, it may lie among what is a little larger. Not for what cannot be
    ///   moved: a page with such in it cannot be drained.
    mutating func allocate(_ bytes: Int, sharing: Bool = true) -> Reference? {
        guard bytes <= SlabClasses.slotBytesMax else { return allocateRun(bytes) }
        let index = classes.index(bytes)
        return allocateSlot(unsafe held[index] > 0 || !sharing ? index : classToShare(index))
    }

    /// A class with a free slot that is not much larger than those of a class without a page; or that class itself.
    @inline(never)
    private func classToShare(_ index: SlabClasses.Index) -> SlabClasses.Index {
        let bytesMax = classes[index].bytes + classes[index].bytes / 4
        var other = index
        while other < classes.chunkClass, classes[other].bytes <= bytesMax {
            if unsafe partial[other] != 0 { return other }
            other += 1
        }
        return index
    }

    /// Takes back what `allocate(bytes)` gave.
    mutating func free(_ reference: Reference, _ bytes: Int) {
        if bytes <= SlabClasses.slotBytesMax {
            freeSlot(reference)
        } else {
            freeRun(reference, bytes)
        }
    }

    /// Whether `bytes` fit where `other` were allocated without waste: the same class, or the same number of units.
    func isSameSize(_ bytes: Int, _ other: Int) -> Bool {
        let limit = SlabClasses.slotBytesMax
        if bytes <= limit && other <= limit { return classes.index(bytes) == classes.index(other) }
        return bytes > limit && other > limit && Self.units(bytes) == Self.units(other)
    }

    /// What `allocate(bytes)` takes, or a quarter less where a shard has few of that size.
    @inline(__always) func slotBytes(_ bytes: Int) -> Int {
        bytes <= SlabClasses.slotBytesMax
            ? classes[classes.index(bytes)].bytes : Self.units(bytes) &* PageArena.unitBytes
    }

    /// Asks the processor for what lies at `reference`.
    @inline(__always) func prefetch(_ reference: Reference) { unsafe larder_prefetch(address(reference)) }

    /// The entry that lies at `reference`.
    @inline(__always) func entry(_ reference: Reference) -> Entry { unsafe Entry(address(reference)) }

    /// Whether an entry of this shard lies at `reference`, which may be any number that once was a reference of it.
    func isLiveEntry(_ reference: Reference) -> Bool {
        let unit = arena.unit(of: reference)
        let owner = arena.owner(ofUnit: unit)
        guard owner & 0xFFFF_0000 == label else { return false }
        if owner & Owner.run != 0 {
            guard owner & Owner.runStart != 0, arena.reference(ofUnit: unit) == reference else { return false }
        } else {
            let index = Int(owner & Owner.classMask)
            guard index != classes.chunkClass, isSlot(reference, index, owner) else { return false }
        }
        return unsafe address(reference).load(as: UInt64.self) != 0
    }

    // MARK: Chunks

    mutating func allocateChunk() -> Reference? { allocateSlot(classes.chunkClass) }

    mutating func freeChunk(_ reference: Reference) { freeSlot(reference) }

    /// The address that `reference` stands for.
    @inline(__always) func address(_ reference: Reference) -> UnsafeMutableRawPointer {
        unsafe base + (Int(reference) &* PageArena.granuleBytes)
    }

    // MARK: Slots

    /// A page begins with this. Free slots hold zero in their first word and the next free slot in the following.
    private struct PageHeader {
        let slots: UInt32
        /// Slots in use.
        var used: UInt32
        /// Slots from here on were never handed out.
        var fresh: UInt32
        var free: Reference
        var previous: Reference
        var next: Reference
    }

    /// Below the shard's label: the class of a page and, as a power of two, its units; or what kind of run it is.
    private enum Owner {
        static let run: UInt32 = 0x8000
        static let runStart: UInt32 = 0x4000
        static let classMask: UInt32 = 0xFF
        static let unitsShift: UInt32 = 8

        static func page(_ index: SlabClasses.Index, units: Int) -> UInt32 {
            UInt32(index) | UInt32(units.trailingZeroBitCount) << unitsShift
        }

        @inline(__always) static func units(_ owner: UInt32) -> Int { 1 &<< Int(owner >> unitsShift & 7) }
    }

    private static func label(shard: Int) -> UInt32 { UInt32(shard + 1) << 16 }

    /// What a shard writes for its hash tables: no entries there.
    static func tableLabel(shard: Int) -> UInt32 { label(shard: shard) | Owner.run }

    private static let nextFreeOffset = 8

    @inline(__always)
    private func header(_ page: Reference) -> UnsafeMutablePointer<PageHeader> {
        unsafe address(page).assumingMemoryBound(to: PageHeader.self)
    }

    /// The page of a slot. Pages are aligned to their size.
    @inline(__always)
    private func page(_ reference: Reference, _ owner: UInt32) -> Reference {
        let granules = Owner.units(owner) &* PageArena.unitBytes / PageArena.granuleBytes
        return reference & ~Reference(truncatingIfNeeded: granules &- 1)
    }

    @inline(__always) private func owner(_ reference: Reference) -> UInt32 { arena.owner(ofUnit: arena.unit(of: reference)) }

    private mutating func allocateSlot(_ index: SlabClasses.Index) -> Reference? {
        var page = unsafe partial[index]
        if page == 0 {
            guard let fresh = addPage(index) else { return nil }
            page = fresh
        }
        let header = unsafe header(page)
        let slot: Reference
        if unsafe header.pointee.free != 0 {
            slot = unsafe header.pointee.free
            unsafe header.pointee.free = address(slot).load(fromByteOffset: Self.nextFreeOffset, as: Reference.self)
        } else {
            let offset = unsafe SlabClasses.pageHeaderBytes &+ Int(header.pointee.fresh) &* classes[index].bytes
            slot = page &+ Reference(truncatingIfNeeded: offset / PageArena.granuleBytes)
            unsafe header.pointee.fresh &+= 1
            unsafe address(slot).storeBytes(of: 0, as: UInt64.self)
        }
        unsafe header.pointee.used &+= 1
        if unsafe header.pointee.used == header.pointee.slots { unlink(page, index) }
        bytesInUse &+= classes[index].bytes
        return slot
    }

    private mutating func freeSlot(_ slot: Reference) {
        let owner = owner(slot)
        let (page, index) = (page(slot, owner), Int(owner & Owner.classMask))
        let header = unsafe header(page)
        precondition(unsafe header.pointee.used > 0, "frees into an empty page")
        unsafe address(slot).storeBytes(of: 0, as: UInt64.self)
        unsafe address(slot).storeBytes(of: header.pointee.free, toByteOffset: Self.nextFreeOffset, as: Reference.self)
        unsafe header.pointee.free = slot
        if unsafe header.pointee.used == header.pointee.slots { link(page, index) }
        unsafe header.pointee.used &-= 1
        bytesInUse &-= classes[index].bytes
        if unsafe header.pointee.used == 0 { removePage(page, index) }
    }

    private mutating func addPage(_ index: SlabClasses.Index) -> Reference? {
        let units = unsafe classes[index].unitsOfNextPage(held: Int(held[index]))
        guard let page = arena.allocate(units, aligned: true, owner: label | Owner.page(index, units: units)) else { return nil }
        let slots = UInt32(classes[index].slots(units: units))
        unsafe header(page).initialize(to: PageHeader(slots: slots, used: 0, fresh: 0, free: 0, previous: 0, next: 0))
        bytesHeld &+= units &* PageArena.unitBytes
        unsafe held[index] &+= UInt32(units)
        link(page, index)
        return page
    }

    private mutating func removePage(_ page: Reference, _ index: SlabClasses.Index) {
        if page == drained { drained = 0 } else { unlink(page, index) }
        let units = Owner.units(owner(page))
        bytesHeld &-= units &* PageArena.unitBytes
        unsafe held[index] &-= UInt32(units)
        arena.free(page, units: units)
    }

    private func link(_ page: Reference, _ index: SlabClasses.Index) {
        let first = unsafe partial[index]
        unsafe header(page).pointee.previous = 0
        unsafe header(page).pointee.next = first
        if first != 0 { unsafe header(first).pointee.previous = page }
        unsafe partial[index] = page
    }

    private func unlink(_ page: Reference, _ index: SlabClasses.Index) {
        let (previous, next) = unsafe (header(page).pointee.previous, header(page).pointee.next)
        if previous != 0 { unsafe header(previous).pointee.next = next } else { unsafe partial[index] = next }
        if next != 0 { unsafe header(next).pointee.previous = previous }
    }

    private func isSlot(_ reference: Reference, _ index: SlabClasses.Index, _ owner: UInt32) -> Bool {
        let page = page(reference, owner)
        let offset = Int(reference &- page) &* PageArena.granuleBytes &- SlabClasses.pageHeaderBytes
        guard offset >= 0 else { return false }
        let (slot, rest) = offset.quotientAndRemainder(dividingBy: classes[index].bytes)
        return unsafe rest == 0 && slot < Int(header(page).pointee.fresh)
    }

    // MARK: Draining

    // Pages that few entries are left in are held for those alone, when what is stored becomes larger or smaller over time. So
    // their entries move to other pages of the class: the shard moves one after another (`Shard+Compaction`), and the slab says
    // which. Nothing is allocated from a page that is being drained.

    /// Whether there is enough in vain to look for a page to drain: more than a sixth of what is held, and a page or two.
    var isSparse: Bool { bytesHeld &- bytesInUse > bytesHeld / 6 &+ 65_536 }
    var isDraining: Bool { drained != 0 }

    /// Looks at the next few classes for a page to drain: of those with free slots the one with the fewest entries, if the
    /// others have room for these and a quarter page more.
    ///
    /// - Parameter others: A size of which there is more than entries; it is passed over.
    /// - Returns: Whether all classes have been looked at since this was last true.
    mutating func findPageToDrain(notOf others: Int?) -> Bool {
        for _ in 0..<Self.classesLookedAt where drained == 0 {
            let index = nextToDrain
            nextToDrain = nextToDrain + 1 < classes.chunkClass ? nextToDrain + 1 : 0
            if others.map({ classes.index($0) != index }) ?? true { beginDraining(index) }
            if nextToDrain == 0 { return true }
        }
        return false
    }

    private static let classesLookedAt = 8
    /// How many pages of a class are compared.
    private static let pagesLookedAt = 16

    private mutating func beginDraining(_ index: SlabClasses.Index) {
        var page = unsafe partial[index]
        var (least, leastUsed, free, looked) = (page, UInt32.max, 0, 0)
        while page != 0, looked < Self.pagesLookedAt {
            let header = unsafe header(page).pointee
            free &+= Int(header.slots &- header.used)
            if header.used < leastUsed { (least, leastUsed) = (page, header.used) }
            page = header.next
            looked &+= 1
        }
        let slots = least == 0 ? 0 : unsafe Int(header(least).pointee.slots)
        guard looked > 1, free &- (slots &- Int(leastUsed)) >= Int(leastUsed) &+ slots / 4 else { return }
        unlink(least, index)
        (drained, drainedClass, drainedSlot) = (least, index, 0)
    }

    /// The next entry of the page that is being drained; nil when the last one has moved. What cannot be moved stays, and the
    /// page with it.
    mutating func nextToMove() -> Reference? {
        guard drained != 0 else { return nil }
        let fresh = unsafe Int(header(drained).pointee.fresh)
        while drainedSlot < fresh {
            let offset = SlabClasses.pageHeaderBytes &+ drainedSlot &* classes[drainedClass].bytes
            let slot = drained &+ Reference(truncatingIfNeeded: offset / PageArena.granuleBytes)
            drainedSlot &+= 1
            if unsafe address(slot).load(as: UInt64.self) != 0 { return slot }
        }
        stopDraining()
        return nil
    }

    /// Lets the page that is being drained be used again.
    mutating func stopDraining() {
        guard drained != 0 else { return }
        link(drained, drainedClass)
        drained = 0
    }

    // MARK: Runs

    private static func units(_ bytes: Int) -> Int { (bytes + PageArena.unitBytes - 1) / PageArena.unitBytes }

    private mutating func allocateRun(_ bytes: Int) -> Reference? {
        let units = Self.units(bytes)
        guard let run = arena.allocate(units, owner: label | Owner.run) else { return nil }
        arena.relabel(run, label | Owner.run | Owner.runStart)
        unsafe address(run).storeBytes(of: 0, as: UInt64.self)
        bytesInUse &+= units &* PageArena.unitBytes
        bytesHeld &+= units &* PageArena.unitBytes
        return run
    }

    private mutating func freeRun(_ run: Reference, _ bytes: Int) {
        let units = Self.units(bytes)
        bytesInUse &-= units &* PageArena.unitBytes
        bytesHeld &-= units &* PageArena.unitBytes
        arena.free(run, units: units)
    }

    // MARK: Invariants

    /// Asserts that the lists of pages are whole and that every page's counts are possible. O(partial pages and their free slots).
    func checkInvariants() {
        precondition(bytesInUse >= 0 && bytesInUse <= bytesHeld, "more in use than held")
        for index in 0..<classes.count {
            var previous: Reference = 0
            var page = unsafe partial[index]
            while page != 0 {
                let header = unsafe header(page).pointee
                precondition(header.previous == previous, "the list of pages is torn")
                precondition(header.used < header.slots, "a full page is listed")
                precondition(header.used > 0, "an empty page was kept")
                precondition(owner(page) & ~(7 << Owner.unitsShift) == label | UInt32(index), "a page of somebody else")
                precondition(Int(header.slots) == classes[index].slots(units: Owner.units(owner(page))), "a page of another size")
                checkFreeSlots(page, header, index)
                previous = page
                page = header.next
            }
        }
    }

    private func checkFreeSlots(_ page: Reference, _ header: PageHeader, _ index: SlabClasses.Index) {
        var count: UInt32 = 0
        var slot = header.free
        while slot != 0 {
            precondition(
                isSlot(slot, index, owner(slot)) && self.page(slot, owner(slot)) == page, "a free slot outside of its page")
            precondition(unsafe address(slot).load(as: UInt64.self) == 0, "a free slot that looks live")
            count += 1
            precondition(count <= header.fresh, "the list of free slots has a cycle")
            slot = unsafe address(slot).load(fromByteOffset: Self.nextFreeOffset, as: Reference.self)
        }
        precondition(header.used + count == header.fresh, "a page's slots are miscounted")
    }
}
