// What a timing wheel is made of: chains of chunks, and a map of the slots that hold one.
//
// A chunk is a cache line of the shard's slab:
//
//     0  the next chunk   u32
//     4  how many         u16
//     6  generation       u16
//     8  references       14 x u32
//
// Unsafe, and sound because a chunk is only made of a reference that the slab gave as one, its count is checked against its
// capacity, and the heads of the chains are an array of this value's own that indices are checked against.

/// A view of a chunk where it lies.
@safe struct WheelChunk {
    static let capacity = 14
    private static let referencesOffset = 8
    private let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    func initialize(next: Reference, generation: UInt8) {
        unsafe base.storeBytes(of: next, as: Reference.self)
        unsafe base.storeBytes(of: 0, toByteOffset: 4, as: UInt16.self)
        unsafe base.storeBytes(of: UInt16(generation), toByteOffset: 6, as: UInt16.self)
    }

    var next: Reference { unsafe base.load(as: Reference.self) }
    var count: Int { Int(unsafe base.load(fromByteOffset: 4, as: UInt16.self)) }
    var generation: UInt8 { UInt8(truncatingIfNeeded: unsafe base.load(fromByteOffset: 6, as: UInt16.self)) }
    var isFull: Bool { count == Self.capacity }
    var last: Reference { self[count &- 1] }

    subscript(index: Int) -> Reference {
        precondition(index >= 0 && index < Self.capacity, "index leaves the chunk")
        return unsafe base.load(fromByteOffset: Self.referencesOffset &+ index &* 4, as: Reference.self)
    }

    func append(_ reference: Reference) {
        precondition(!isFull, "the chunk is full")
        unsafe base.storeBytes(of: reference, toByteOffset: Self.referencesOffset &+ count &* 4, as: Reference.self)
        setCount(count &+ 1)
    }

    func removeLast() {
        precondition(count > 0, "the chunk is empty")
        setCount(count &- 1)
    }

    private func setCount(_ count: Int) {
        unsafe base.storeBytes(of: UInt16(truncatingIfNeeded: count), toByteOffset: 4, as: UInt16.self)
    }
}

/// The heads of the chains of all slots of all levels.
@safe struct WheelSlots: ~Copyable {
    private static let count = TimingWheel.levels * TimingWheel.slotsPerLevel
    private let heads: UnsafeMutablePointer<Reference>
    /// One bit for each slot.
    private let used: UnsafeMutablePointer<UInt64>

    init() {
        unsafe heads = .allocate(capacity: Self.count)
        unsafe heads.initialize(repeating: 0, count: Self.count)
        unsafe used = .allocate(capacity: Self.count / 64)
        unsafe used.initialize(repeating: 0, count: Self.count / 64)
    }

    deinit {
        // The chunks go with the arena.
        unsafe heads.deallocate()
        unsafe used.deallocate()
    }

    subscript(index: Int) -> Reference {
        precondition(index >= 0 && index < Self.count, "no such slot")
        return unsafe heads[index]
    }

    mutating func setHead(_ index: Int, _ head: Reference) {
        precondition(index >= 0 && index < Self.count, "no such slot")
        unsafe heads[index] = head
        let bit: UInt64 = 1 << UInt64(index & 63)
        if head == 0 { unsafe used[index >> 6] &= ~bit } else { unsafe used[index >> 6] |= bit }
    }

    /// Takes the whole chain out of a slot.
    mutating func detach(_ index: Int) -> Reference {
        let head = self[index]
        setHead(index, 0)
        return head
    }

    func isUsed(_ index: Int) -> Bool {
        precondition(index >= 0 && index < Self.count, "no such slot")
        return unsafe used[index >> 6] >> UInt64(index & 63) & 1 == 1
    }

    /// The first slot of a level that holds a chain, looking from `start` on and around.
    func firstUsed(_ level: Int, from start: Int) -> Int? {
        let first = level &* 4
        precondition(level >= 0 && level < TimingWheel.levels && start >= 0 && start < 256, "no such slot")
        let word = start >> 6
        let mask: UInt64 = ~0 << UInt64(start & 63)
        let here = unsafe used[first &+ word] & mask
        if here != 0 { return word << 6 | here.trailingZeroBitCount }
        for step in 1...4 {
            let next = (word &+ step) & 3
            // The fourth is the first word again, of which the upper part was seen.
            let bits = unsafe used[first &+ next] & (step == 4 ? ~mask : ~0)
            if bits != 0 { return next << 6 | bits.trailingZeroBitCount }
        }
        return nil
    }

    func freeChain(_ chain: Reference, _ slab: inout Slab) {
        var head = chain
        while head != 0 {
            let next = unsafe WheelChunk(slab.address(head)).next
            slab.freeChunk(head)
            head = next
        }
    }
}
