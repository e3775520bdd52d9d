// The keys of one namespace in one shard in byte order. There only while the namespace is being listed.
//
// Holds references and a head of each key: the eight bytes behind those that all keys of a leaf begin with. Where heads do not
// tell, keys are compared where the entries lie. Leaves of up to 126 cells come from the shard's slab; the directory over
// them is a plain array, since a shard has few thousand leaves, and has heads of its own: behind what their first keys share.
//
// A leaf:
//
//     0  zero: what keeps a stale reference to this memory from being taken for an entry   u64
//     8  how many                                                                         u16
//    10  how many bytes all keys begin with                                               u16
//    16  heads, big-endian, short ones padded with zeros                               126 x u64
//  1024  references                                                                    126 x u32
//
// Unsafe, and sound because a leaf is memory that the slab gave and nobody else has, cells are checked against its count, and
// every reference is taken out before the entry that it stands for is freed. Every call is made under the shard's lock.

import CLarderIntrinsics
import LarderBytes
import LarderPlatform

/// A sorted sequence of references to entries.
@safe final class OrderedIndex {
    static let leafCapacity = 126
    static let leafBytes = 1_536

    private struct LeafPlace {
        var head: UInt64
        var leaf: Reference
    }

    /// In order; `head` is that of the leaf's first key, behind `common`.
    private var directory: [LeafPlace] = []
    /// What the first keys of all leaves begin with.
    private var common: [UInt8] = []
    private let arena: PageArena
    private(set) var count = 0

    init(arena: PageArena) { self.arena = arena }

    /// A place in the order. Holds until the next change.
    struct Position: Equatable {
        fileprivate var leaf: Int
        fileprivate var cell: Int
    }

    // MARK: Finding

    /// The first key after `key`, or `key` itself when `inclusive`.
    func position(from key: RawSpan, inclusive: Bool) -> Position {
        let place = lowerBound(key)
        if !inclusive, let reference = self[place], entry(reference).key.hasSameBytes(as: key) { return after(place) }
        return place
    }

    /// The reference at a position; nil at the end.
    subscript(position: Position) -> Reference? {
        guard position.leaf < directory.count else { return nil }
        return leaf(position.leaf).reference(position.cell)
    }

    func after(_ position: Position) -> Position {
        let leaf = leaf(position.leaf)
        guard position.cell + 1 < leaf.count else { return Position(leaf: position.leaf + 1, cell: 0) }
        prefetch(leaf, position.cell + 1 + Self.entriesAhead)
        return Position(leaf: position.leaf, cell: position.cell + 1)
    }

    /// Asks the processor for the entries at a position and behind it, which lie anywhere in memory. `after` does so a few
    /// steps ahead.
    func prefetch(from position: Position) {
        guard position.leaf < directory.count else { return }
        let leaf = leaf(position.leaf)
        for cell in position.cell..<(position.cell + Self.entriesAhead) { prefetch(leaf, cell) }
    }

    @inline(__always) private func prefetch(_ leaf: Leaf, _ cell: Int) {
        if cell < leaf.count { unsafe larder_prefetch(arena.address(leaf.reference(cell))) }
    }

    private static let entriesAhead = 8

    /// The first key that is not before `key`.
    private func lowerBound(_ key: RawSpan) -> Position {
        guard !directory.isEmpty else { return Position(leaf: 0, cell: 0) }
        let found = lastLeaf(notAfter: key)
        let leaf = leaf(found)
        let cell = lowerBound(in: leaf, key)
        return cell < leaf.count ? Position(leaf: found, cell: cell) : Position(leaf: found + 1, cell: 0)
    }

    /// The last leaf whose first key is not after `key`, which is where it is or belongs; the first leaf if there is none.
    private func lastLeaf(notAfter key: RawSpan) -> Int {
        let side = unsafe Self.side(key, common.span.bytes)
        if side != 0 { return side < 0 ? 0 : directory.count - 1 }
        let head = Self.head(key, from: common.count)
        // One access to the array instead of one a step.
        let directory = directory
        var low = 0
        var high = directory.count
        while low < high {
            let middle = (low + high) / 2
            let isAfter = compare(directory[middle].head, leaf(at: directory[middle].leaf), 0, to: head, key) > 0
            if isAfter { high = middle } else { low = middle + 1 }
        }
        return max(low - 1, 0)
    }

    private func lowerBound(in leaf: Leaf, _ key: RawSpan) -> Int {
        let count = leaf.count
        let shared = leaf.shared
        let side = Self.side(key, entry(leaf.reference(0)).key.extracting(0..<shared))
        if side != 0 { return side < 0 ? 0 : count }
        let head = Self.head(key, from: shared)
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if compare(leaf.head(middle), leaf, middle, to: head, key) < 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Looks at the entry only when the heads do not tell.
    private func compare(_ cellHead: UInt64, _ leaf: Leaf, _ cell: Int, to head: UInt64, _ key: RawSpan) -> Int {
        if cellHead != head { return cellHead < head ? -1 : 1 }
        return entry(leaf.reference(cell)).key.compare(to: key)
    }

    /// On which side of all keys that begin with `prefix` a key belongs; 0 when it begins with it as well.
    private static func side(_ key: RawSpan, _ prefix: RawSpan) -> Int {
        if key.byteCount < prefix.byteCount { return key.compare(to: prefix) }
        return key.extracting(0..<prefix.byteCount).compare(to: prefix)
    }

    /// Eight bytes of a key from `start` on, as a number that sorts like them.
    static func head(_ key: RawSpan, from start: Int) -> UInt64 {
        if key.byteCount >= start + 8 { return key.littleEndian(at: start, as: UInt64.self).byteSwapped }
        var head: UInt64 = 0
        for position in start..<max(key.byteCount, start) { head |= UInt64(key.byte(at: position)) << UInt64(56 - (position - start) * 8) }
        return head
    }

    // MARK: Changing

    /// Adds a reference, unless its key is there already; then the reference replaces the one that was.
    ///
    /// - Returns: false when there is no memory; nothing has changed then.
    func insert(_ reference: Reference, _ slab: inout Slab) -> Bool {
        let key = entry(reference).key
        var place = lowerBound(key)
        if let present = self[place], entry(present).key.hasSameBytes(as: key) {
            leaf(place.leaf).setReference(place.cell, reference)
            return true
        }
        if directory.isEmpty { return insertLeaf(of: [reference], at: 0, &slab) }
        if place.cell == 0 && place.leaf > 0 {
            // Between two leaves: the end of the former has as good a right to it, and is where ascending keys go.
            place = Position(leaf: place.leaf - 1, cell: leaf(place.leaf - 1).count)
        }
        if leaf(place.leaf).count == Self.leafCapacity {
            guard split(place.leaf, at: place.cell, &slab) else { return false }
            let kept = leaf(place.leaf).count
            if place.cell > kept { place = Position(leaf: place.leaf + 1, cell: place.cell - kept) }
            // An ascending key found its leaf full and gets the new one to itself.
            if place.cell == Self.leafCapacity { place = Position(leaf: place.leaf + 1, cell: 0) }
        }
        let leaf = leaf(place.leaf)
        if leaf.count > 0 {
            let shared = key.commonPrefixLength(with: entry(leaf.reference(0)).key, atMost: leaf.shared)
            if shared < leaf.shared { setHeads(leaf, shared: shared) }
        } else {
            leaf.shared = key.byteCount
        }
        leaf.insert(Self.head(key, from: leaf.shared), reference, at: place.cell)
        if place.cell == 0 { noteFirstKey(place.leaf) }
        count += 1
        return true
    }

    /// How many references `insert(run:)` takes: leaves that are nearly full, with some cells left for keys to come.
    static let runMax = 120

    /// Adds references to keys that ascend, and of which none is here, as a leaf of their own. Nothing changes when their place
    /// is not between two leaves, or when there is no memory.
    ///
    /// - Returns: Whether it did.
    func insert(run: [Reference], _ slab: inout Slab) -> Bool {
        guard let first = run.first, let last = run.last, run.count <= Self.leafCapacity else { return false }
        let place = lowerBound(entry(first).key)
        guard place.cell == 0 else { return false }
        if let next = self[place], entry(next).key.compare(to: entry(last).key) <= 0 { return false }
        return insertLeaf(of: run, at: place.leaf, &slab)
    }

    private func insertLeaf(of run: [Reference], at place: Int, _ slab: inout Slab) -> Bool {
        guard let reference = newLeaf(&slab) else { return false }
        directory.insert(LeafPlace(head: 0, leaf: reference), at: place)
        leaf(place).append(run)
        setHeads(leaf(place))
        noteFirstKey(place)
        count += run.count
        return true
    }

    /// Puts another reference to the same key in the place of one.
    func replace(_ reference: Reference, with replacement: Reference) {
        let place = lowerBound(entry(reference).key)
        if self[place] == reference { leaf(place.leaf).setReference(place.cell, replacement) }
    }

    /// Takes a reference out. One that is not there is no error: the index may be younger than the entry's death.
    func remove(_ reference: Reference, _ slab: inout Slab) {
        let place = lowerBound(entry(reference).key)
        guard self[place] == reference else { return }
        let leaf = leaf(place.leaf)
        leaf.remove(at: place.cell)
        count -= 1
        if leaf.count == 0 {
            slab.free(directory[place.leaf].leaf, Self.leafBytes)
            directory.remove(at: place.leaf)
            return
        }
        if place.cell == 0 { noteFirstKey(place.leaf) }
        mergeWithNext(place.leaf, &slab)
        if place.leaf > 0 { mergeWithNext(place.leaf - 1, &slab) }
    }

    /// Gives up to `leavesMax` leaves back.
    ///
    /// - Returns: Whether there are more. The index is of no use until there are none.
    func removeLeaves(_ leavesMax: Int, _ slab: inout Slab) -> Bool {
        for _ in 0..<leavesMax {
            guard let last = directory.popLast() else { break }
            slab.free(last.leaf, Self.leafBytes)
        }
        count = 0
        return !directory.isEmpty
    }

    // MARK: Leaves

    /// Makes room in a full leaf by moving its upper half to a new one behind it. A leaf that is appended to stays
    /// full: keys that arrive in order fill their leaves.
    private func split(_ index: Int, at cell: Int, _ slab: inout Slab) -> Bool {
        guard let reference = newLeaf(&slab) else { return false }
        let source = leaf(index)
        let kept = cell == Self.leafCapacity ? Self.leafCapacity : Self.leafCapacity / 2
        directory.insert(LeafPlace(head: 0, leaf: reference), at: index + 1)
        let target = leaf(index + 1)
        source.move(from: kept, to: target)
        if kept < Self.leafCapacity {
            setHeads(source)
            setHeads(target)
            noteFirstKey(index + 1)
        }
        return true
    }

    /// Joins a leaf with the one behind it when both are small, so that deletions leave no trail of nearly empty leaves.
    private func mergeWithNext(_ index: Int, _ slab: inout Slab) {
        guard index + 1 < directory.count else { return }
        let (left, right) = (leaf(index), leaf(index + 1))
        guard left.count + right.count <= Self.leafCapacity / 2 else { return }
        right.move(from: 0, to: left)
        setHeads(left)
        slab.free(directory[index + 1].leaf, Self.leafBytes)
        directory.remove(at: index + 1)
    }

    /// Computes the heads of a leaf's keys anew, behind as much as they share.
    private func setHeads(_ leaf: Leaf) {
        let first = entry(leaf.reference(0)).key
        setHeads(leaf, shared: first.commonPrefixLength(with: entry(leaf.reference(leaf.count - 1)).key, atMost: first.byteCount))
    }

    private func setHeads(_ leaf: Leaf, shared: Int) {
        leaf.shared = shared
        for cell in 0..<leaf.count { leaf.setHead(cell, Self.head(entry(leaf.reference(cell)).key, from: shared)) }
    }

    /// A leaf begins with another key than before.
    private func noteFirstKey(_ index: Int) {
        let first = firstEntry(index)
        if directory.count == 1 { common = Array(first.key) }
        let shared = unsafe first.key.commonPrefixLength(with: common.span.bytes, atMost: common.count)
        if shared < common.count {
            common.removeLast(common.count - shared)
            for other in directory.indices where leaf(other).count > 0 { directory[other].head = Self.head(firstEntry(other).key, from: shared) }
        }
        directory[index].head = Self.head(first.key, from: shared)
    }

    private func firstEntry(_ index: Int) -> Entry { entry(leaf(index).reference(0)) }

    private func newLeaf(_ slab: inout Slab) -> Reference? {
        guard let reference = slab.allocate(Self.leafBytes, sharing: false) else { return nil }
        unsafe Leaf(arena.address(reference)).initialize()
        return reference
    }

    private func leaf(_ index: Int) -> Leaf { leaf(at: directory[index].leaf) }

    private func leaf(at reference: Reference) -> Leaf { unsafe Leaf(arena.address(reference)) }

    private func entry(_ reference: Reference) -> Entry { unsafe Entry(arena.address(reference)) }

    /// A view of a leaf where it lies.
    @safe private struct Leaf {
        private static let countOffset = 8
        private static let sharedOffset = 10
        private static let headsOffset = 16
        private static let referencesOffset = 1_024
        private let base: UnsafeMutableRawPointer

        init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

        func initialize() { unsafe base.initializeMemory(as: UInt64.self, repeating: 0, count: 2) }

        var count: Int { Int(unsafe base.load(fromByteOffset: Self.countOffset, as: UInt16.self)) }

        /// How many bytes all keys begin with.
        var shared: Int {
            get { Int(unsafe base.load(fromByteOffset: Self.sharedOffset, as: UInt16.self)) }
            nonmutating set { unsafe base.storeBytes(of: UInt16(newValue), toByteOffset: Self.sharedOffset, as: UInt16.self) }
        }

        private func setCount(_ count: Int) {
            unsafe base.storeBytes(of: UInt16(count), toByteOffset: Self.countOffset, as: UInt16.self)
        }

        private func headAddress(_ cell: Int) -> UnsafeMutableRawPointer { unsafe base + Self.headsOffset + cell * 8 }
        private func referenceAddress(_ cell: Int) -> UnsafeMutableRawPointer { unsafe base + Self.referencesOffset + cell * 4 }

        func head(_ cell: Int) -> UInt64 {
            precondition(cell >= 0 && cell < count, "no such cell")
            return unsafe headAddress(cell).load(as: UInt64.self)
        }

        func reference(_ cell: Int) -> Reference {
            precondition(cell >= 0 && cell < count, "no such cell")
            return unsafe referenceAddress(cell).load(as: Reference.self)
        }

        func setReference(_ cell: Int, _ reference: Reference) {
            precondition(cell >= 0 && cell < count, "no such cell")
            unsafe referenceAddress(cell).storeBytes(of: reference, as: Reference.self)
        }

        func setHead(_ cell: Int, _ head: UInt64) {
            precondition(cell >= 0 && cell < count, "no such cell")
            unsafe headAddress(cell).storeBytes(of: head, as: UInt64.self)
        }

        /// Adds references without heads to an empty leaf.
        func append(_ references: [Reference]) {
            precondition(count == 0 && references.count <= OrderedIndex.leafCapacity, "no room in the leaf")
            for (cell, reference) in references.enumerated() {
                unsafe referenceAddress(cell).storeBytes(of: reference, as: Reference.self)
            }
            setCount(references.count)
        }

        func insert(_ head: UInt64, _ reference: Reference, at cell: Int) {
            let count = count
            precondition(cell >= 0 && cell <= count && count < OrderedIndex.leafCapacity, "no room in the leaf")
            unsafe headAddress(cell + 1).copyMemory(from: headAddress(cell), byteCount: (count - cell) * 8)
            unsafe referenceAddress(cell + 1).copyMemory(from: referenceAddress(cell), byteCount: (count - cell) * 4)
            unsafe headAddress(cell).storeBytes(of: head, as: UInt64.self)
            unsafe referenceAddress(cell).storeBytes(of: reference, as: Reference.self)
            setCount(count + 1)
        }

        func remove(at cell: Int) {
            let rest = count - cell - 1
            precondition(cell >= 0 && rest >= 0, "no such cell")
            unsafe headAddress(cell).copyMemory(from: headAddress(cell + 1), byteCount: rest * 8)
            unsafe referenceAddress(cell).copyMemory(from: referenceAddress(cell + 1), byteCount: rest * 4)
            setCount(count - 1)
        }

        /// Moves the cells from `cell` on to the end of another leaf.
        func move(from cell: Int, to target: Leaf) {
            let (moved, there) = (count - cell, target.count)
            precondition(cell >= 0 && moved >= 0 && there + moved <= OrderedIndex.leafCapacity, "no room in the leaf")
            unsafe target.headAddress(there).copyMemory(from: headAddress(cell), byteCount: moved * 8)
            unsafe target.referenceAddress(there).copyMemory(from: referenceAddress(cell), byteCount: moved * 4)
            target.setCount(there + moved)
            setCount(cell)
        }
    }

    // MARK: Invariants

    /// Asserts that all keys are in order, that heads are theirs, and that all are counted. O(keys).
    func checkInvariants() {
        var found = 0
        var last: Reference?
        for index in directory.indices {
            let leaf = leaf(index)
            precondition(leaf.count > 0, "an empty leaf was kept")
            let first = firstEntry(index)
            let isCommon = unsafe first.key.hasPrefix(common.span.bytes)
            precondition(isCommon, "a first key begins otherwise")
            precondition(directory[index].head == Self.head(first.key, from: common.count), "the directory has another head")
            for cell in 0..<leaf.count {
                let reference = leaf.reference(cell)
                precondition(Self.side(entry(reference).key, first.key.extracting(0..<leaf.shared)) == 0, "a key that begins otherwise")
                precondition(leaf.head(cell) == Self.head(entry(reference).key, from: leaf.shared), "a head of another key")
                if let last { precondition(entry(last).key.compare(to: entry(reference).key) < 0, "out of order") }
                last = reference
            }
            found += leaf.count
        }
        precondition(found == count, "keys are miscounted")
    }
}
