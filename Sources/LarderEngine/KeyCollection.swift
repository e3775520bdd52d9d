// Keys on their way into an ordered index: gathered as they come, and put in order while no lock is held.
//
// Holds references and sixteen bytes of each key, and never looks at an entry. So what it gives out is nearly in order, and no
// more than that: keys may agree in those bytes, and a reference may have gone stale meanwhile. Who takes them out compares the
// keys; a poor order costs time and nothing else.
// Source: the sort is radix sort from the lowest digit, D. Knuth, TAOCP vol. 3, 5.2.5, of those bits that differ at all.

import LarderBytes

/// Some keys of one namespace in one shard.
struct KeyCollection {
    /// As many as are put in order at a time: 0.4 ms of sorting.
    static let countMax = 16_384

    private struct Item {
        var high: UInt64
        var low: UInt64
        var reference: Reference
    }

    private var items: [Item] = []
    /// How many bytes at the start of keys are not looked at: those that the first keys share.
    private var skipped: Int?
    private var ordered: [Reference] = []
    private var next = 0

    var count: Int { items.count }
    var isFull: Bool { items.count >= Self.countMax }
    /// Whether all that was sorted was taken out.
    var isUsedUp: Bool { next == ordered.count }

    mutating func reserve(_ count: Int) { items.reserveCapacity(min(count, Self.countMax)) }

    /// Adds entries, by their references.
    mutating func add(_ references: [Reference], _ entry: (Reference) -> Entry) {
        let skipped = skip(references, entry)
        for reference in references {
            let key = entry(reference).key
            items.append(
                Item(
                    high: OrderedIndex.head(key, from: skipped), low: OrderedIndex.head(key, from: skipped + 8), reference: reference))
        }
    }

    private mutating func skip(_ references: [Reference], _ entry: (Reference) -> Entry) -> Int {
        if let skipped { return skipped }
        guard let first = references.first else { return 0 }
        var shared = entry(first).keyBytes
        for reference in references { shared = entry(reference).key.commonPrefixLength(with: entry(first).key, atMost: shared) }
        // Of few keys nothing can be told.
        if references.count < 4 { shared = 0 }
        skipped = shared
        return shared
    }

    /// The next reference in order, and moves on.
    mutating func takeNext() -> Reference? {
        guard next < ordered.count else { return nil }
        next += 1
        return ordered[next - 1]
    }

    /// The reference so many places ahead.
    func ahead(_ distance: Int) -> Reference? { next + distance < ordered.count ? ordered[next + distance] : nil }

    // MARK: Sorting

    private struct Ranked {
        var rank: UInt64
        var reference: Reference
    }

    /// How many bits decide at most. Among some thousand keys hardly two agree in so many that differ at all.
    private static let rankBits = 40
    /// Fewer than this are sorted by comparing.
    private static let radixMin = 128

    /// Puts all that was gathered in order, to be taken out.
    mutating func sort() {
        let (bits, ranked) = rank()
        var source = ranked
        if source.count < Self.radixMin {
            source.sort { $0.rank < $1.rank }
        } else {
            var target = source
            for shift in stride(from: 0, to: bits, by: 8) {
                Self.sort(source, into: &target, by: UInt64(shift))
                swap(&source, &target)
            }
        }
        ordered = source.map(\.reference)
        items.removeAll(keepingCapacity: true)
        next = 0
    }

    private static func sort(_ source: [Ranked], into target: inout [Ranked], by shift: UInt64) {
        var starts = InlineArray<256, Int>(repeating: 0)
        for item in source { starts[Int((item.rank >> shift) & 0xFF)] += 1 }
        var sum = 0
        for digit in 0..<256 {
            let count = starts[digit]
            starts[digit] = sum
            sum += count
        }
        for item in source {
            let digit = Int((item.rank >> shift) & 0xFF)
            target[starts[digit]] = item
            starts[digit] += 1
        }
    }

    /// Of each byte in which keys differ the bits from the highest that does, one byte after another.
    private func rank() -> (bits: Int, [Ranked]) {
        guard let first = items.first else { return (0, []) }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for item in items {
            high |= item.high ^ first.high
            low |= item.low ^ first.low
        }
        var parts: [(isHigh: Bool, shift: UInt64, width: Int)] = []
        var bits = 0
        for (isHigh, differing) in [(true, high), (false, low)] {
            for shift in stride(from: 56, through: 0, by: -8) {
                let width = 8 - UInt8(truncatingIfNeeded: differing >> UInt64(shift)).leadingZeroBitCount
                guard width > 0, bits < Self.rankBits else { continue }
                bits += width
                parts.append((isHigh, UInt64(shift), width))
            }
        }
        let ranked = items.map { item in
            var rank: UInt64 = 0
            for part in parts {
                let word = (part.isHigh ? item.high : item.low) >> part.shift
                rank = rank << UInt64(part.width) | word & ((1 << UInt64(part.width)) - 1)
            }
            return Ranked(rank: rank, reference: item.reference)
        }
        return (bits, ranked)
    }
}
