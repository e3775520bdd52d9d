// Where the entries of one shard are: references, found by hash and compared by key.
//
// Buckets of a cache line: twelve references, twelve tags, and how many entries went past because the bucket was full. The
// bucket of a hash is its place in the order of all hashes, so a table that grows keeps that order: moving on to a larger
// one in small steps is a boundary that passes through the hashes. Below the boundary everything is in the new table, above
// it in the old one, and never in both.
//
// Holds references, not entries; a key is compared, and a hash computed anew, where the entry lies.
// Source: N. Bronson, X. Shi, "Open-sourcing F14", 2019, for tags and overflow counts.

import CLarderIntrinsics
import LarderBytes
import Synchronization

/// A hash as a table sees it: its place in the table's order, and eight other bits.
struct TablePosition: Equatable {
    /// The bits below those that chose the shard, at the top.
    var order: UInt64
    /// Never 0, which marks an empty place.
    var tag: UInt8

    @inline(__always) init(_ hash: KeyHash, shardBits: UInt64) {
        order = hash.value &<< shardBits
        let low = UInt8(truncatingIfNeeded: hash.value)
        tag = low == 0 ? 1 : low
    }
}

/// Where a reference stands in the table. Holds until the next change of the table.
struct TablePlace {
    fileprivate var inOld: Bool
    fileprivate var bucket: Int
    fileprivate var cell: Int
}

/// Computes where an entry belongs, from its key.
struct TableHasher {
    let secrets: HashSecrets
    let shardBits: UInt64

    @inline(__always) func position(_ entry: Entry) -> TablePosition {
        TablePosition(secrets.hash(entry.key, namespaceSlot: entry.namespaceSlot), shardBits: shardBits)
    }
}

/// Which table to prefetch from, or to read without the lock, in one atomic word: where its buckets are, and how many.
///
/// A handle. The word lies outside of the table and its shard: who holds the lock has all of them to itself. It is to live as
/// long as any handle.
@safe struct TableHint {
    private let word: UnsafePointer<Atomic<UInt64>>

    init(_ word: UnsafePointer<Atomic<UInt64>>) { unsafe self.word = word }

    private static let bucketsMask: UInt64 = 0x7FFF_FFFF
    private static let movingBit: UInt64 = 0x8000_0000

    /// - Parameter isMoving: References are on their way out of this table, and its memory goes with them.
    func publish(_ reference: Reference, buckets: Int, isMoving: Bool = false) {
        let low = UInt64(buckets) | (isMoving ? Self.movingBit : 0)
        unsafe word.pointee.store(UInt64(reference) << 32 | low, ordering: .relaxed)
    }

    /// The bucket of a hash in the table published last. There is memory at this place, though its contents may be anything.
    @inline(__always) func bucket(_ position: TablePosition) -> (table: Reference, bucket: Int) {
        let published = unsafe word.pointee.load(ordering: .relaxed)
        let bucket = position.order.multipliedFullWidth(by: published & Self.bucketsMask).high
        return (Reference(truncatingIfNeeded: published >> 32), Int(bucket))
    }

    /// The same, and how many buckets there are from there to the last; nil while the table moves to another size.
    @inline(__always) func settledBucket(_ position: TablePosition) -> (table: Reference, bucket: Int, left: Int)? {
        let published = unsafe word.pointee.load(ordering: .relaxed)
        guard published & Self.movingBit == 0 else { return nil }
        let buckets = published & Self.bucketsMask
        let bucket = position.order.multipliedFullWidth(by: buckets).high
        return (Reference(truncatingIfNeeded: published >> 32), Int(bucket), Int(buckets &- bucket))
    }
}

/// References to entries by hash. Every call is made under the shard's lock.
@safe struct HashTable: ~Copyable {
    private let hint: TableHint
    /// What is looked up, and where all is inserted that lies below `boundary`.
    private var table: BucketArray
    /// The smaller or larger table that is on its way out, while `isMoving`.
    private var old: BucketArray
    /// Hashes below it have been moved. Means nothing unless `isMoving`.
    private var boundary: UInt64 = 0
    /// Buckets of `old` that have been moved.
    private var moved = 0
    private(set) var isMoving = false
    /// The table does not shrink below this.
    private var bucketsReserved = Self.bucketsMin

    private let arena: PageArena
    private let base: UnsafeMutableRawPointer
    private let hasher: TableHasher

    /// Of 256: how full a table may be before it grows by a quarter, and how empty before it shrinks.
    private static let fillMax = 225
    private static let fillMin = 90
    /// Of 256: how full a table is after it has shrunk.
    private static let fillAfterShrinking = 180
    private static let bucketsMin = 8
    /// How many buckets a write moves; one for every three writes would do to be ready for the next growth.
    static let bucketsMovedPerWrite = 2

    /// - Returns: nil when the arena has no memory.
    init?(arena: PageArena, hasher: TableHasher, hint: TableHint, owner: UInt32) {
        guard let first = BucketArray(arena: arena, buckets: Self.bucketsMin, owner: owner) else { return nil }
        self.arena = arena
        unsafe base = arena.base
        self.hasher = hasher
        self.hint = hint
        table = first
        old = .none
        hint.publish(table.reference, buckets: table.buckets)
    }

    /// Where an entry belongs.
    @inline(__always) func position(_ entry: Entry) -> TablePosition { hasher.position(entry) }

    @inline(__always) func entry(_ reference: Reference) -> Entry { unsafe Entry(address(reference)) }

    @inline(__always) private func address(_ reference: Reference) -> UnsafeMutableRawPointer {
        unsafe base + (Int(reference) &* PageArena.granuleBytes)
    }

    /// How many references there are.
    var count: Int { table.count &+ old.count }

    // MARK: Looking up

    /// The place of the entry with this key, or nil.
    @inline(__always)
    func find(_ position: TablePosition, _ key: RawSpan, namespaceSlot: UInt16) -> TablePlace? {
        let inOld = isInOld(position)
        let array = inOld ? old : table
        var bucket = array.home(position.order)
        for _ in 0..<array.buckets {
            var matches = array.matches(bucket, position.tag)
            while matches != 0 {
                let cell = matches.trailingZeroBitCount
                if entry(array.reference(bucket, cell)).matches(key, namespaceSlot: namespaceSlot) {
                    return TablePlace(inOld: inOld, bucket: bucket, cell: cell)
                }
                matches &= matches &- 1
            }
            if array.overflow(bucket) == 0 { break }
            bucket = array.next(bucket)
        }
        return nil
    }

    /// Asks the processor for the bucket where a search begins.
    func prefetch(_ position: TablePosition) { (isInOld(position) ? old : table).prefetch(position.order) }

    /// The place of this very reference, or nil.
    func find(_ position: TablePosition, _ reference: Reference) -> TablePlace? {
        let inOld = isInOld(position)
        let array = inOld ? old : table
        return array.find(position, reference).map { TablePlace(inOld: inOld, bucket: $0.bucket, cell: $0.cell) }
    }

    @inline(__always) subscript(_ place: TablePlace) -> Reference {
        get { (place.inOld ? old : table).reference(place.bucket, place.cell) }
        nonmutating set { (place.inOld ? old : table).setReference(place.bucket, place.cell, newValue) }
    }

    @inline(__always) private func isInOld(_ position: TablePosition) -> Bool {
        isMoving && position.order >= boundary
    }

    // MARK: Changing

    /// Whether one more reference has a place; starts growing when it is time.
    mutating func makeRoom(owner: UInt32) -> Bool {
        if !isMoving && count * 256 >= table.capacity * Self.fillMax {
            startMoving(to: table.buckets + max(table.buckets / 4, 1), owner)
        }
        // Never false unless the arena had no memory for a larger table.
        return table.hasRoom && (!isMoving || old.hasRoom)
    }

    /// Adds a reference that is not there yet. `makeRoom` has said yes.
    mutating func insert(_ reference: Reference, _ position: TablePosition) {
        if isInOld(position) { old.insert(reference, position) } else { table.insert(reference, position) }
    }

    mutating func remove(_ place: TablePlace, _ position: TablePosition) {
        if place.inOld {
            old.remove(place.bucket, place.cell, home: position.order)
        } else {
            table.remove(place.bucket, place.cell, home: position.order)
        }
    }

    // MARK: Moving to another size

    /// Makes the table large enough for `count` references at once, if there are none yet. It does not shrink below that before
    /// the next call.
    mutating func reserve(_ count: Int, owner: UInt32) {
        bucketsReserved = max(count * 256 / Self.fillAfterShrinking / BucketArray.cellsPerBucket + 1, Self.bucketsMin)
        guard self.count == 0, !isMoving, bucketsReserved > table.buckets,
            let next = BucketArray(arena: arena, buckets: bucketsReserved, owner: owner)
        else { return }
        table.release(arena)
        table = next
        table.clear(upTo: bucketsReserved)
        hint.publish(table.reference, buckets: table.buckets)
    }

    /// Moves up to `buckets` buckets on, and begins to shrink when it is time.
    ///
    /// - Returns: Whether there is more to move.
    @discardableResult
    mutating func move(buckets: Int, owner: UInt32) -> Bool {
        if !isMoving {
            guard table.buckets > bucketsReserved, count * 256 < table.capacity * Self.fillMin else { return false }
            let wanted = count * 256 / Self.fillAfterShrinking / BucketArray.cellsPerBucket + 1
            // At most to a quarter at a time: while it moves, writes go on, one for every `bucketsMovedPerWrite` buckets of the
            // old table, and the new one must hold what they add.
            startMoving(to: max(wanted, table.buckets / 4, bucketsReserved), owner)
        }
        var rest = buckets
        while isMoving && rest > 0 {
            moveBucket()
            rest -= 1
        }
        return isMoving
    }

    private mutating func startMoving(to buckets: Int, _ owner: UInt32) {
        // Without memory for another table the present one serves on.
        guard let next = BucketArray(arena: arena, buckets: buckets, owner: owner) else { return }
        hint.publish(table.reference, buckets: table.buckets, isMoving: true)
        old = table
        table = next
        boundary = 0
        moved = 0
        isMoving = true
        prefetchEntries(0)
    }

    /// Moves every entry whose home is the next bucket of the old table.
    private mutating func moveBucket() {
        let next = moved + 1
        if next < old.buckets { prefetchEntries(next) }
        let end = old.firstOrder(next)
        table.clear(upTo: table.home(end) + 2)
        var bucket = moved
        for _ in 0..<old.buckets {
            let goesOn = old.overflow(bucket) != 0
            moveEntries(from: bucket, home: moved)
            if !goesOn { break }
            bucket = old.next(bucket)
        }
        boundary = end
        moved = next
        if moved == old.buckets { finishMoving() } else { old.releasePrefix(below: moved, arena) }
    }

    private mutating func moveEntries(from bucket: Int, home: Int) {
        var occupied = old.occupied(bucket)
        while occupied != 0 {
            let cell = occupied.trailingZeroBitCount
            occupied &= occupied &- 1
            let reference = old.reference(bucket, cell)
            let position = position(entry(reference))
            if old.home(position.order) == home {
                old.remove(bucket, cell, home: position.order)
                table.insert(reference, position)
            }
        }
    }

    private mutating func finishMoving() {
        table.clear(upTo: table.buckets)
        hint.publish(table.reference, buckets: table.buckets)
        old.release(arena)
        old = .none
        isMoving = false
    }

    /// An entry is needed to know its hash, and is most likely not in the cache: ask for a dozen at once.
    private func prefetchEntries(_ bucket: Int) {
        var occupied = old.occupied(bucket)
        while occupied != 0 {
            unsafe larder_prefetch(address(old.reference(bucket, occupied.trailingZeroBitCount)))
            occupied &= occupied &- 1
        }
    }

    // MARK: Scanning

    /// Visits the entries of the bucket at `cursor` and moves the cursor on. The visitor must not change the table.
    ///
    /// The cursor is a place in the order of hashes, so it means the same after the table has grown or shrunk: an entry
    /// that is there from the first call to the last is visited once if the table does not move, and at least once if it does.
    ///
    /// - Parameter cursor: 0 to begin.
    /// - Returns: false after the last bucket; the cursor is then 0 again.
    func scan(_ cursor: inout UInt64, _ visit: (Reference, TablePosition) -> Void) -> Bool {
        let inOld = isMoving && cursor >= boundary
        let array = inOld ? old : table
        let start = array.home(cursor)
        var end = array.firstOrder(start + 1)
        var isLast = start + 1 == array.buckets
        if isMoving && !inOld && (isLast || end > boundary) {
            end = boundary
            isLast = false
        }
        var bucket = start
        for _ in 0..<array.buckets {
            visitBucket(array, bucket, from: cursor, to: end, isLast: isLast, visit)
            if array.overflow(bucket) == 0 { break }
            bucket = array.next(bucket)
        }
        cursor = isLast ? 0 : end
        return !isLast
    }

    private func visitBucket(
        _ array: BucketArray, _ bucket: Int, from start: UInt64, to end: UInt64, isLast: Bool,
        _ visit: (Reference, TablePosition) -> Void
    ) {
        var occupied = array.occupied(bucket)
        while occupied != 0 {
            let reference = array.reference(bucket, occupied.trailingZeroBitCount)
            occupied &= occupied &- 1
            let position = position(entry(reference))
            if position.order >= start && (isLast || position.order < end) { visit(reference, position) }
        }
    }

    /// Asks the processor for the entries of the bucket at `cursor`, a step ahead of `scan`, or of one so many buckets further on.
    func prefetchScan(_ cursor: UInt64, ahead: Int = 0) {
        let array = isMoving && cursor >= boundary ? old : table
        let bucket = min(array.home(cursor) + ahead, array.buckets - 1)
        var occupied = array.occupied(bucket)
        while occupied != 0 {
            unsafe larder_prefetch(address(array.reference(bucket, occupied.trailingZeroBitCount)))
            occupied &= occupied &- 1
        }
    }

    /// Bytes of the arena that the tables take.
    var bytesHeld: Int { table.bytesHeld + old.bytesHeld }

    // MARK: Invariants

    /// Asserts that every reference is where a lookup finds it, on its own side of the boundary, and that all are counted.
    func checkInvariants() {
        var found = 0
        precondition(table.count >= 0 && old.count >= 0, "fewer than none")
        table.forEach { bucket, cell in
            let position = position(entry(table.reference(bucket, cell)))
            precondition(!isMoving || position.order < boundary, "moved too early")
            precondition(table.find(position, table.reference(bucket, cell)) != nil, "cannot be found")
            found += 1
        }
        table.checkOverflow { position(entry($0)) }
        if isMoving {
            old.forEach { bucket, cell in
                let position = position(entry(old.reference(bucket, cell)))
                precondition(position.order >= boundary, "was not moved")
                precondition(old.find(position, old.reference(bucket, cell)) != nil, "cannot be found")
                found += 1
            }
            old.checkOverflow { position(entry($0)) }
        }
        precondition(found == count, "references are miscounted")
    }
}
