// The cache lines that a hash table is made of.
//
//     0  references  12 x u32
//    48  tags        12 x u8, 0 where the reference is none
//    60  overflow    u32: how many references passed this bucket, being full, on their way from home to where they are
//
// Unsafe, and sound because a bucket's number is below `buckets`, a cell's below twelve, and the run of units holds that
// many buckets. Memory from the arena is not clean: buckets are cleared before they are first used, some at a time.

import CLarderIntrinsics

/// An array of buckets. A handle: who copies it copies no bucket, and it is freed by `release`.
@safe struct BucketArray {
    static let cellsPerBucket = 12
    static let bucketBytes = 64
    private static let tagOffset = 48
    private static let overflowOffset = 60
    private static let cellMask: UInt32 = 0xFFF
    /// How many buckets are cleared at least when any are: a page.
    private static let clearedAtOnce = 64
    private static let bucketsPerUnit = PageArena.unitBytes / bucketBytes

    private let base: UnsafeMutableRawPointer
    let buckets: Int
    let reference: Reference
    private let units: Int
    /// Buckets from here on are not clean yet.
    private var cleared = 0
    private(set) var count = 0
    /// Units from the second to before this one were given back; 0 when none were.
    private var released = 0

    /// No array: nothing is ever found in it, because nobody looks.
    static var none: BucketArray { BucketArray() }

    private init() {
        unsafe base = UnsafeMutableRawPointer(bitPattern: Self.bucketBytes)!
        buckets = 0
        reference = 0
        units = 0
    }

    /// - Returns: nil when the arena has no memory.
    init?(arena: PageArena, buckets: Int, owner: UInt32) {
        units = (buckets * Self.bucketBytes + PageArena.unitBytes - 1) / PageArena.unitBytes
        guard let run = arena.allocate(units, owner: owner) else { return nil }
        reference = run
        unsafe base = arena.address(run)
        self.buckets = buckets
        clear(upTo: 1)
    }

    /// Gives back the units whose buckets all lie below `bucket`, none of which is looked at any more, but for the first.
    ///
    /// A reference that went past the last bucket and around lies in the first unit; further on there is none as long as
    /// nothing passed the first unit's last bucket.
    mutating func releasePrefix(below bucket: Int, _ arena: PageArena) {
        let end = bucket / Self.bucketsPerUnit
        guard end > max(released, 1), overflow(Self.bucketsPerUnit - 1) == 0 else { return }
        let first = max(released, 1)
        arena.free(reference(ofUnit: first), units: end - first)
        released = end
    }

    func release(_ arena: PageArena) {
        guard units > 0 else { return }
        arena.free(reference, units: released == 0 ? units : 1)
        if released > 0 && released < units { arena.free(reference(ofUnit: released), units: units - released) }
    }

    private func reference(ofUnit unit: Int) -> Reference {
        reference &+ Reference(truncatingIfNeeded: unit * PageArena.unitBytes / PageArena.granuleBytes)
    }

    var capacity: Int { buckets &* Self.cellsPerBucket }
    /// Whether there is an empty cell, with some to spare, so that searches stay short.
    var hasRoom: Bool { count < capacity &- capacity / 32 }
    var bytesHeld: Int { (units - max(released - 1, 0)) * PageArena.unitBytes }

    // MARK: Order

    /// The bucket where hashes of this order begin to look.
    @inline(__always) func home(_ order: UInt64) -> Int {
        Int(truncatingIfNeeded: order.multipliedFullWidth(by: UInt64(buckets)).high)
    }

    /// The lowest order whose home is `bucket`; for the bucket after the last, the highest order there is.
    func firstOrder(_ bucket: Int) -> UInt64 {
        guard bucket < buckets else { return .max }
        // ceil(bucket * 2^64 / buckets)
        let (quotient, remainder) = UInt64(buckets).dividingFullWidth((UInt64(bucket), 0))
        return remainder == 0 ? quotient : quotient + 1
    }

    @inline(__always) func next(_ bucket: Int) -> Int { bucket &+ 1 < buckets ? bucket &+ 1 : 0 }

    // MARK: Cells

    @inline(__always) private func address(_ bucket: Int) -> UnsafeMutableRawPointer {
        unsafe base + bucket &* Self.bucketBytes
    }

    /// Bit i: cell i has this tag.
    @inline(__always) func matches(_ bucket: Int, _ tag: UInt8) -> UInt32 {
        unsafe larder_match16(address(bucket) + Self.tagOffset, tag) & Self.cellMask
    }

    /// Bit i: cell i holds a reference.
    @inline(__always) func occupied(_ bucket: Int) -> UInt32 { ~matches(bucket, 0) & Self.cellMask }

    @inline(__always) func reference(_ bucket: Int, _ cell: Int) -> Reference {
        unsafe address(bucket).load(fromByteOffset: cell &* 4, as: Reference.self)
    }

    @inline(__always) func setReference(_ bucket: Int, _ cell: Int, _ reference: Reference) {
        unsafe address(bucket).storeBytes(of: reference, toByteOffset: cell &* 4, as: Reference.self)
    }

    @inline(__always) func overflow(_ bucket: Int) -> UInt32 {
        unsafe address(bucket).load(fromByteOffset: Self.overflowOffset, as: UInt32.self)
    }

    private func addOverflow(_ bucket: Int, _ difference: Int32) {
        let value = overflow(bucket) &+ UInt32(bitPattern: difference)
        unsafe address(bucket).storeBytes(of: value, toByteOffset: Self.overflowOffset, as: UInt32.self)
    }

    private func setTag(_ bucket: Int, _ cell: Int, _ tag: UInt8) {
        unsafe address(bucket).storeBytes(of: tag, toByteOffset: Self.tagOffset &+ cell, as: UInt8.self)
    }

    // MARK: Cells of a bucket that somebody else may be changing

    @inline(__always) static func sightMatches(_ bucket: UnsafeRawPointer, _ tag: UInt8) -> UInt32 {
        unsafe larder_match16_racing(bucket + tagOffset, tag) & cellMask
    }

    @inline(__always) static func sightReference(_ bucket: UnsafeRawPointer, _ cell: Int) -> Reference {
        unsafe larder_load32_racing(bucket + cell &* 4)
    }

    @inline(__always) static func sightOverflow(_ bucket: UnsafeRawPointer) -> UInt32 {
        unsafe larder_load32_racing(bucket + overflowOffset)
    }

    // MARK: Operations

    func prefetch(_ order: UInt64) { unsafe larder_prefetch(address(home(order))) }

    func find(_ position: TablePosition, _ reference: Reference) -> (bucket: Int, cell: Int)? {
        var bucket = home(position.order)
        for _ in 0..<buckets {
            var matches = matches(bucket, position.tag)
            while matches != 0 {
                let cell = matches.trailingZeroBitCount
                if self.reference(bucket, cell) == reference { return (bucket, cell) }
                matches &= matches &- 1
            }
            if overflow(bucket) == 0 { break }
            bucket = next(bucket)
        }
        return nil
    }

    /// Puts the reference into the first empty cell from its home on. There is one.
    mutating func insert(_ reference: Reference, _ position: TablePosition) {
        precondition(count < capacity, "no empty cell")
        count &+= 1
        var bucket = home(position.order)
        while true {
            if bucket >= cleared { clear(upTo: bucket + 1) }
            let empty = matches(bucket, 0)
            if empty != 0 {
                let cell = empty.trailingZeroBitCount
                setReference(bucket, cell, reference)
                setTag(bucket, cell, position.tag)
                return
            }
            addOverflow(bucket, 1)
            bucket = next(bucket)
            precondition(bucket != Self.bucketsPerUnit || released == 0, "no empty cell in what is left of the table")
        }
    }

    /// Empties a cell whose reference has its home at `order`.
    mutating func remove(_ bucket: Int, _ cell: Int, home order: UInt64) {
        count &-= 1
        setTag(bucket, cell, 0)
        var passed = home(order)
        while passed != bucket {
            addOverflow(passed, -1)
            passed = next(passed)
        }
    }

    /// Cleans the buckets below `bucket`, and some more.
    mutating func clear(upTo bucket: Int) {
        guard bucket > cleared else { return }
        let end = min(buckets, max(bucket, cleared + Self.clearedAtOnce))
        guard end > cleared else { return }
        let bytes = (end - cleared) * Self.bucketBytes
        unsafe address(cleared).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        cleared = end
    }

    // MARK: Invariants

    private func isReleased(_ bucket: Int) -> Bool { bucket >= Self.bucketsPerUnit && bucket / Self.bucketsPerUnit < released }

    func forEach(_ body: (_ bucket: Int, _ cell: Int) -> Void) {
        for bucket in 0..<min(buckets, cleared) where !isReleased(bucket) {
            for cell in 0..<Self.cellsPerBucket where occupied(bucket) & 1 << UInt32(cell) != 0 { body(bucket, cell) }
        }
    }

    /// Asserts that each bucket counts those references that passed it, and no others.
    func checkOverflow(_ position: (Reference) -> TablePosition) {
        var passed = [UInt32](repeating: 0, count: buckets)
        forEach { bucket, cell in
            var between = home(position(reference(bucket, cell)).order)
            while between != bucket {
                passed[between] += 1
                between = next(between)
            }
        }
        for bucket in 0..<min(buckets, cleared) where !isReleased(bucket) {
            precondition(overflow(bucket) == passed[bucket], "a bucket miscounts what passed it")
        }
    }
}
