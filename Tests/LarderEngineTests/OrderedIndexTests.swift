import LarderBytes
@testable import LarderEngine
import Testing

private struct Bench: ~Copyable {
    let arena = PageArena(bytesMax: 256 << 20)!
    var slab: Slab
    let index: OrderedIndex
    var model: [[UInt8]: Reference] = [:]

    init() {
        slab = Slab(arena: arena, shard: 0)
        index = OrderedIndex(arena: arena)
    }

    func entry(_ reference: Reference) -> Entry { Entry(slab.address(reference)) }

    mutating func allocate(_ key: [UInt8]) -> Reference {
        let shape = EntryShape(keyBytes: key.count, valueBytes: 0, metadataBytes: 0, hasDeadline: false)
        let reference = slab.allocate(shape.byteCount)!
        entry(reference).write(
            lsn: LSN(rawValue: 1), namespaceSlot: 0, deadline: .never, hasDeadline: false, metadata: RawSpan(),
            key: key.span.bytes, value: RawSpan())
        return reference
    }

    mutating func insert(_ key: [UInt8]) {
        let reference = allocate(key)
        if let old = model[key] {
            index.replace(old, with: reference)
            slab.free(old, entry(old).byteCount)
        } else {
            precondition(index.insert(reference, &slab))
        }
        model[key] = reference
    }

    mutating func remove(_ key: [UInt8]) {
        guard let reference = model.removeValue(forKey: key) else { return }
        index.remove(reference, &slab)
        slab.free(reference, entry(reference).byteCount)
    }

    func keys(from key: [UInt8] = [], inclusive: Bool = true) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var position = index.position(from: key.span.bytes, inclusive: inclusive)
        while let reference = index[position] {
            keys.append(Array(entry(reference).key))
            position = index.after(position)
        }
        return keys
    }
}

@Suite("Ordered index") struct OrderedIndexTests {
    private static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool { left.lexicographicallyPrecedes(right) }

    @Test func `an empty index has no first key`() {
        let bench = Bench()
        let keys = bench.keys()
        #expect(keys == [])
    }

    @Test func `keys are in byte order, short before long, zeros included`() {
        var bench = Bench()
        let keys: [[UInt8]] = [
            [0], [0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0], [1], Array("abcdefgh".utf8), Array("abcdefgh\u{0}".utf8),
            Array("abcdefghi".utf8), [0xFF], [0xFF, 0xFF],
        ]
        for key in keys.shuffled() { bench.insert(key) }
        let found = bench.keys()
        #expect(found == keys)
        bench.index.checkInvariants()
    }

    @Test func `keys that arrive in order fill their leaves`() {
        var bench = Bench()
        for number in 0..<12_600 { bench.insert(Array("key-\(100_000 + number)".utf8)) }
        bench.index.checkInvariants()
        let held = bench.slab.bytesInUse
        var others = Bench()
        for number in 0..<12_600 { _ = others.allocate(Array("key-\(100_000 + number)".utf8)) }
        let leaves = (held - others.slab.bytesInUse) / 1_536
        #expect(leaves == 100)
    }

    @Test(arguments: Seeds.smoke) func `agrees with a sorted list while keys come and go`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bench = Bench()
        let alphabet = Array("ab/\u{0}".utf8)
        func key() -> [UInt8] {
            let common = Bool.random(using: &random) ? Array("common-prefix/".utf8) : []
            return common + (0..<Int.random(in: 1...9, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
        }
        for phase in 0..<6 {
            for _ in 0..<1_500 {
                // Grows in even phases and shrinks in odd ones.
                if Int.random(in: 0..<10, using: &random) < (phase % 2 == 0 ? 8 : 2) {
                    bench.insert(key())
                } else if let key = bench.model.keys.randomElement(using: &random) {
                    bench.remove(key)
                }
            }
            bench.index.checkInvariants()
            let sorted = bench.model.keys.sorted(by: Self.precedes)
            let all = bench.keys()
            #expect(all == sorted, "seed \(seed)")
            for _ in 0..<20 {
                let from = key()
                let at = bench.keys(from: from)
                let after = bench.keys(from: from, inclusive: false)
                #expect(at == sorted.filter { !Self.precedes($0, from) }, "seed \(seed)")
                #expect(after == sorted.filter { Self.precedes(from, $0) }, "seed \(seed)")
            }
        }
        for key in Array(bench.model.keys) { bench.remove(key) }
        let inUse = bench.slab.bytesInUse
        #expect(inUse == 0, "seed \(seed)")
    }

    @Test func `a run of keys becomes a leaf of its own, and heads begin behind what its keys share`() {
        var bench = Bench()
        var runs: [[Reference]] = []
        for run in [2, 0, 3, 1] {
            let keys = (0..<120).map { Array("a-long-common-beginning/\(1_000 + run * 120 + $0)".utf8) }
            runs.append(keys.map { bench.allocate($0) })
        }
        for run in runs {
            let isPlaced = bench.index.insert(run: run, &bench.slab)
            #expect(isPlaced)
            bench.index.checkInvariants()
        }
        let found = bench.keys()
        #expect(found == (1_000..<1_480).map { Array("a-long-common-beginning/\($0)".utf8) })
        // A key that shares nothing with the others, before and behind them.
        for key in ["Z", "a-long", "a-long-common-beginning/1119x", "b", ""] { bench.insert(Array(key.utf8) + [1]) }
        bench.index.checkInvariants()
        #expect(bench.index.count == 485)
        // A run whose place is taken changes nothing.
        let late = [bench.allocate(Array("a-long-common-beginning/1118y".utf8)), bench.allocate(Array("c".utf8))]
        let isPlaced = bench.index.insert(run: late, &bench.slab)
        #expect(!isPlaced)
        bench.index.checkInvariants()
    }

    @Test func `leaves are given back a few at a time`() {
        var bench = Bench()
        for number in 0..<1_000 { bench.insert(Array("key-\(number)".utf8)) }
        var calls = 0
        while bench.index.removeLeaves(3, &bench.slab) { calls += 1 }
        #expect(calls > 2)
        let keys = bench.keys()
        #expect(keys == [])
        bench.index.checkInvariants()
    }
}
