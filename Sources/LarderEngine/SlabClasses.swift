// Which sizes a slab hands out, and how large the pages are that it cuts them from.
//
// Steps of 8 bytes to 256, eight steps an octave to 2 KiB, then whole fractions of pages, so that no page ends in a remainder,
// and of the smallest pages that have such a fraction. A shard's first pages of a class are smaller, since it has one of every
// size it uses and that is half empty. Anything longer gets units of its own.
// Source: J. Bonwick, "The Slab Allocator", USENIX 1994, for slabs; the steps are measured (docs/architecture.md).

/// The size classes of every slab: two tables in memory that is never given back, so that a copy counts nothing.
@safe struct SlabClasses: @unchecked Sendable {
    /// The number of a class.
    typealias Index = Int

    struct Class {
        /// Bytes of a slot.
        let bytes: Int
        /// Units of the smallest page and of the largest; powers of two.
        let unitsMin: Int
        let unitsMax: Int

        /// How many slots a page of so many units has.
        func slots(units: Int) -> Int { (units * PageArena.unitBytes - SlabClasses.pageHeaderBytes) / bytes }

        /// How many units the next page has, where pages of the class take `held`: an eighth of that or up to a quarter, so that what a
        /// page has in vain stays a small part of all.
        func unitsOfNextPage(held: Int) -> Int {
            let wanted = held / 4
            if wanted <= unitsMin { return unitsMin }
            return min(unitsMax, 1 << (Int.bitWidth - 1 - wanted.leadingZeroBitCount))
        }
    }

    /// At the start of every page; a cache line, so that slots of 64 bytes are lines.
    static let pageHeaderBytes = 64
    /// What the largest slot holds.
    static let slotBytesMax = 16_368
    /// The chunks of the timing wheel: a class apart, so that a page holds either entries or chunks.
    static let chunkBytes = 64

    let count: Int
    private let classes: UnsafePointer<Class>
    /// By (bytes + 7) / 8.
    private let classOfGranules: UnsafePointer<UInt8>

    static let shared = SlabClasses()

    private init() {
        var sizes = Array(stride(from: 8, through: 256, by: 8))
        for octave in [256, 512, 1_024] {
            for step in 1...8 { sizes.append(octave + step * octave / 8) }
        }
        var large: [Int] = []
        for (units, slots) in [(4, [7, 6, 5, 4]), (8, [15, 13, 11, 9, 7, 6, 5, 4]), (16, [15, 13, 11, 9, 7, 6, 5, 4])] {
            let room = units * PageArena.unitBytes - Self.pageHeaderBytes
            large += slots.map { room / $0 & ~7 }.filter { $0 > 2_048 }
        }
        sizes += large.sorted()
        precondition(sizes.last == Self.slotBytesMax && sizes == sizes.sorted(), "classes out of order")
        var table: [UInt8] = []
        for (index, size) in sizes.enumerated() {
            while table.count * 8 <= size { table.append(UInt8(index)) }
        }
        sizes.append(Self.chunkBytes)
        count = sizes.count
        unsafe classes = Self.immortal(sizes.map(Self.layOut))
        unsafe classOfGranules = Self.immortal(table)
    }

    private static func immortal<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
        for (index, element) in elements.enumerated() { unsafe (memory + index).initialize(to: element) }
        return unsafe UnsafePointer(memory)
    }

    /// The largest page of a class is the smallest from 16 KiB on that wastes at most a sixteenth; the smallest one may waste a quarter.
    private static func layOut(_ bytes: Int) -> Class {
        func smallest(_ sizes: [Int], wasting share: Int) -> Int {
            sizes.first { units in
                let room = units * PageArena.unitBytes - pageHeaderBytes
                return room >= bytes && room % bytes <= room / share
            } ?? PageArena.alignedUnitsMax
        }
        let largest = smallest([4, 8], wasting: 16)
        return Class(bytes: bytes, unitsMin: min(smallest([1, 2, 4, 8], wasting: 4), largest), unitsMax: largest)
    }

    var chunkClass: Index { count &- 1 }

    /// The class of slots that hold `bytes`, from 0 to `slotBytesMax`.
    @inline(__always) func index(_ bytes: Int) -> Index {
        assert(bytes >= 0 && bytes <= Self.slotBytesMax)
        return unsafe Int(classOfGranules[(bytes &+ 7) >> 3])
    }

    @inline(__always) subscript(_ index: Index) -> Class {
        assert(index >= 0 && index < count)
        return unsafe classes[index]
    }
}
