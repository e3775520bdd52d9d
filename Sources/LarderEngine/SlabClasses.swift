// Which sizes a slab hands out, and how large the pages are that it cuts them from.
//
// Steps of 8 bytes to 256, eight steps an octave to 2 KiB, then whole fractions of pages, so that no page ends in a remainder,
// and of the smallest pages that have such a fraction: every shard has a page of every size it uses. Anything longer gets
// units of its own.
// Source: J. Bonwick, "The Slab Allocator", USENIX 1994, for slabs; the steps are measured (docs/architecture.md).

/// The size classes of every slab: two tables in memory that is never given back, so that a copy counts nothing.
@safe struct SlabClasses: @unchecked Sendable {
    /// The number of a class.
    typealias Index = Int

    struct Class {
        /// Bytes of a slot.
        let bytes: Int
        /// Units of a page; a power of two.
        let units: Int
        let slots: Int
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

    /// The smallest page that wastes at most a sixteenth, or the largest.
    private static func layOut(_ bytes: Int) -> Class {
        var best = Class(bytes: bytes, units: PageArena.alignedUnitsMax, slots: 0)
        for units in [PageArena.alignedUnitsMax, 8, 4] {
            let room = units * PageArena.unitBytes - pageHeaderBytes
            let candidate = Class(bytes: bytes, units: units, slots: room / bytes)
            if best.slots == 0 || room - candidate.slots * bytes <= room / 16 { best = candidate }
        }
        return best
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
