import LarderBytes
@testable import LarderEngine
import Synchronization
import Testing

/// A table, and entries for it to refer to.
private struct TableBench: ~Copyable {
    let arena = PageArena(bytesMax: 256 << 20)!
    var slab: Slab
    var table: HashTable
    var model: [UInt64: Reference] = [:]
    let owner = Slab.tableLabel(shard: 0)
    /// Beside the table, as in a store.
    let hintWord = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: 1)
    var hint: TableHint { TableHint(hintWord) }

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        slab = Slab(arena: arena, shard: 0)
        let hasher = TableHasher(secrets: HashSecrets(using: &random), shardBits: 3)
        hintWord.initialize(to: Atomic(0))
        table = HashTable(arena: arena, hasher: hasher, hint: TableHint(hintWord), owner: owner)!
    }

    deinit { hintWord.deallocate() }

    /// Whether the reference stands in the bucket that those without the lock would prefetch for it.
    func isHinted(_ reference: Reference) -> Bool {
        let (found, bucket) = hint.bucket(table.position(table.entry(reference)))
        let cells = arena.address(found) + bucket * BucketArray.bucketBytes
        return (0..<BucketArray.cellsPerBucket).contains { cells.load(fromByteOffset: $0 * 4, as: Reference.self) == reference }
    }

    mutating func insert(_ key: UInt64) {
        let bytes = [key]
        let reference = slab.allocate(24)!
        let entry = table.entry(reference)
        entry.write(
            lsn: LSN(rawValue: 1), namespaceSlot: 5, deadline: .never, hasDeadline: false, metadata: RawSpan(),
            key: bytes.span.bytes, value: RawSpan())
        precondition(table.makeRoom(owner: owner))
        table.insert(reference, table.position(entry))
        table.move(buckets: HashTable.bucketsMovedPerWrite, owner: owner)
        model[key] = reference
    }

    func find(_ key: UInt64) -> Reference? {
        let bytes = [key]
        // The hash comes from an entry everywhere else; here the key itself decides.
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: 24, alignment: 8)
        defer { scratch.deallocate() }
        let entry = Entry(scratch)
        entry.write(
            lsn: LSN(rawValue: 1), namespaceSlot: 5, deadline: .never, hasDeadline: false, metadata: RawSpan(),
            key: bytes.span.bytes, value: RawSpan())
        guard let place = table.find(table.position(entry), bytes.span.bytes, namespaceSlot: 5) else { return nil }
        return table[place]
    }

    mutating func remove(_ key: UInt64) {
        let reference = model.removeValue(forKey: key)!
        let position = table.position(table.entry(reference))
        let place = table.find(position, reference)!
        table.remove(place, position)
        slab.free(reference, 24)
    }

    func key(_ reference: Reference) -> UInt64 { table.entry(reference).key.littleEndian(at: 0, as: UInt64.self) }
}

@Suite("Hash table") struct HashTableTests {
    @Test func `the hint leads to the bucket of a key after the table has grown`() {
        var bench = TableBench(seed: 1)
        for key in 0..<20_000 as Range<UInt64> { bench.insert(key) }
        while bench.table.move(buckets: 100, owner: bench.owner) {}
        // Some stand in the bucket behind, because theirs was full.
        #expect(bench.model.values.count { bench.isHinted($0) } > 16_000)
    }

    @Test(arguments: Seeds.smoke) func `agrees with a dictionary through growth and shrinking`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bench = TableBench(seed: seed)
        var keys: [UInt64] = []
        var next: UInt64 = 0
        for step in 0..<60_000 {
            let grows = step < 25_000 || (45_000..<50_000).contains(step)
            if keys.isEmpty || Int.random(in: 0..<10, using: &random) < (grows ? 8 : 1) {
                next += 1
                bench.insert(next)
                keys.append(next)
            } else {
                let index = Int.random(in: 0..<keys.count, using: &random)
                bench.remove(keys[index])
                keys.swapAt(index, keys.count - 1)
                keys.removeLast()
                bench.table.move(buckets: 2, owner: bench.owner)
            }
            let probe = UInt64.random(in: 0...next, using: &random)
            let (found, expected) = (bench.find(probe), bench.model[probe])
            #expect(found == expected, "seed \(seed), step \(step), key \(probe)")
            if step % 5_000 == 0 { bench.table.checkInvariants() }
        }
        while bench.table.move(buckets: 100, owner: bench.owner) {}
        bench.table.checkInvariants()
        let (count, expected, bytes) = (bench.table.count, bench.model.count, bench.table.bytesHeld)
        #expect(count == expected)
        #expect(bytes <= 4_096 + expected * 64 / 4, "it shrinks")
        for key in keys {
            let (found, expected) = (bench.find(key), bench.model[key])
            #expect(found == expected, "seed \(seed), key \(key)")
        }
    }

    @Test(arguments: Seeds.smoke)
    func `a scan visits everything that is there throughout, whatever grows or shrinks meanwhile`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bench = TableBench(seed: seed)
        for key in 0..<3_000 as Range<UInt64> { bench.insert(key) }
        let resident = Set<UInt64>((0..<3_000).filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
        var passing = (0..<3_000).filter { !resident.contains($0) }
        var seen = Set<UInt64>()
        var cursor: UInt64 = 0
        var next: UInt64 = 1_000_000
        var goesOn = true
        var steps = 0
        while goesOn {
            goesOn = bench.table.scan(&cursor) { reference, _ in seen.insert(bench.key(reference)) }
            steps += 1
            // Odd seeds shrink the table under the scan, even ones let it grow to several times its size.
            if seed % 2 == 1, let key = passing.popLast() {
                for key in [key] + (0..<6).compactMap({ _ in passing.popLast() }) { bench.remove(key) }
                bench.table.move(buckets: 2, owner: bench.owner)
            } else if seed % 2 == 0 {
                for _ in 0..<8 {
                    bench.insert(next)
                    next += 1
                }
            }
        }
        #expect(seen.isSuperset(of: resident), "seed \(seed): \(resident.subtracting(seen).count) missed in \(steps) steps")
        bench.table.checkInvariants()
    }

    @Test func `a scan of a table at rest visits everything once`() {
        var bench = TableBench(seed: 1)
        for key in 0..<10_000 as Range<UInt64> { bench.insert(key) }
        var seen: [UInt64: Int] = [:]
        var cursor: UInt64 = 0
        while bench.table.scan(&cursor, { reference, _ in seen[bench.key(reference), default: 0] += 1 }) {}
        #expect(seen.count == 10_000)
        #expect(seen.values.allSatisfy { $0 == 1 })
        #expect(cursor == 0)
    }
}
