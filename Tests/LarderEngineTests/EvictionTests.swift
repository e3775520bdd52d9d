import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

@Suite("Eviction") struct EvictionTests {
    /// What an entry of these tests takes: 16 of header, 8 of links, 8 of key, so many of value; and what is counted besides.
    private static func bytes(_ value: Int) -> Int { 32 + value + Shard.bytesElsewhere }

    private static func bench(_ entries: Int, shards: Int = 4, eviction: Eviction = .s3fifo) -> StoreBench {
        StoreBench(shards: shards, logBytesMax: 64 << 20, eviction: eviction, bytesMax: entries * bytes(8))
    }

    private static let value = [UInt8](repeating: 1, count: 8)

    // MARK: Layout

    @Test func `entries of a namespace that does not evict carry nothing for eviction`() throws {
        let plain = EntryShape(keyBytes: 16, valueBytes: 32, metadataBytes: 0, hasDeadline: false)
        let evicting = EntryShape(keyBytes: 16, valueBytes: 32, metadataBytes: 0, hasDeadline: false, hasLinks: true)
        #expect(plain.byteCount == 64)
        #expect(evicting.byteCount == 72)
        let bench = StoreBench()
        let cache = bench.makeNamespace("cache", eviction: .s3fifo)
        bench.put(key(1), Self.value)
        let before = bench.store.statistics().entryBytes
        #expect(before == 32)
        bench.put(key(1), Self.value, in: cache)
        #expect(bench.store.statistics().entryBytes == before + 40)
    }

    @Test func `an entry keeps everything beside its links`() {
        let bench = StoreBench()
        let cache = bench.makeNamespace("cache", eviction: .s3fifo)
        let metadata: [UInt8] = [9, 2, 0, 1, 2]
        bench.put(key(1), [5, 6], .milliseconds(1_000), metadata: metadata, in: cache)
        bench.put(key(2), [7], metadata: metadata, in: cache)
        bench.touch(key(2), .milliseconds(2_000), in: cache)
        #expect(bench.read(key(1), in: cache)?.value == [5, 6])
        #expect(bench.read(key(1), in: cache)?.metadata == metadata)
        #expect(bench.read(key(1), in: cache)?.deadline == Deadline(rawValue: bench.now + 1_000))
        #expect(bench.read(key(2), in: cache)?.value == [7])
        #expect(bench.read(key(2), in: cache)?.deadline == Deadline(rawValue: bench.now + 2_000))
        bench.store.checkInvariantsAtRest()
    }

    // MARK: Limits

    @Test(arguments: [1, 4, 64]) func `a full namespace stays within its limit`(_ shards: Int) {
        let bench = Self.bench(5_000, shards: shards)
        for number in 0..<50_000 {
            #expect(bench.put(key(number), Self.value).outcome == .created)
            if number % 1_000 == 0 { #expect(bench.memory() <= bench.default.settings.bytesMax + bench.slack(bench.default)) }
        }
        let keys = bench.store.usage(of: bench.default).keys
        #expect(keys > 4_900 && keys <= 5_000 + bench.slack(bench.default) / Self.bytes(8))
        let statistics = bench.store.statistics()
        #expect(statistics.evictedEntries == 50_000 - keys)
        #expect(statistics.evictedBytes == statistics.evictedEntries * Self.bytes(8))
        bench.store.checkInvariantsAtRest()
    }

    @Test func `the limit is on memory, tables and all`() {
        let limit = 64 << 20
        let bench = StoreBench(shards: 256, logBytesMax: 64 << 20, eviction: .s3fifo, bytesMax: limit)
        let idle = bench.store.statistics().arenaBytes
        for number in 0..<1_600_000 {
            bench.put(key(number) + key(number), [UInt8](repeating: 2, count: 32))
            if number % 10_000 == 0 { bench.drain() }
        }
        bench.settle()
        let statistics = bench.store.statistics()
        let memory = statistics.arenaBytes + statistics.ghostBytes
        #expect(memory < idle + limit / 100 * 105, "\(memory) bytes, \(idle) of them when idle")
        #expect(bench.store.usage(of: bench.default).keys > limit / 100)
    }

    @Test func `long values share the limit with short ones`() {
        let bench = Self.bench(20_000, shards: 64)
        for number in 0..<20_000 { bench.put(key(number), Self.value) }
        // As much as a dozen shards' parts.
        let long = [UInt8](repeating: 3, count: 200_000)
        #expect(bench.put(key(-1), long).outcome == .created)
        bench.settle()
        #expect(bench.read(key(-1))?.value == long)
        #expect(bench.memory() <= bench.default.settings.bytesMax + bench.slack(bench.default))
        // Room was made by all: no shard was emptied for it.
        for number in 0..<1_000 { bench.put(key(30_000 + number), Self.value) }
        #expect(bench.read(key(-1))?.value == long)
        bench.store.checkInvariantsAtRest()
    }

    @Test(arguments: [Eviction.none, .s3fifo])
    func `a value that is larger than the limit is refused`(_ eviction: Eviction) {
        let bench = Self.bench(100, eviction: eviction)
        bench.put(key(1), Self.value)
        #expect(bench.put(key(1), [UInt8](repeating: 0, count: 10_000)).outcome == .namespaceFull)
        #expect(bench.append(key(1), [UInt8](repeating: 0, count: 10_000)).outcome == .namespaceFull)
        #expect(bench.read(key(1))?.value == Self.value)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `without eviction a full namespace refuses what would make it larger, and nothing else`() {
        let bench = Self.bench(1_000, eviction: .none)
        var stored = 0
        for number in 0..<2_000 where bench.put(key(number), Self.value).outcome == .created { stored += 1 }
        // Entries without links are smaller.
        let room = bench.default.settings.bytesMax / (Self.bytes(8) - 8)
        #expect(stored <= room + bench.slack(bench.default) / 40 && stored >= room - 4)
        #expect(bench.put([9], Self.value).outcome == .namespaceFull)
        #expect(bench.increment([8], 1).outcome == .namespaceFull)
        #expect(bench.append(key(0), [UInt8](repeating: 1, count: 100)).outcome == .namespaceFull)
        #expect(bench.put(key(0), [2, 2, 2, 2, 2, 2, 2, 2]).outcome == .updated)
        #expect(bench.put(key(1), [2]).outcome == .updated)
        #expect(bench.touch(key(1), .milliseconds(50)).outcome == .namespaceFull)
        #expect(bench.read(key(2))?.value == Self.value)
        for number in 2..<200 { #expect(bench.remove(key(number)).outcome == .removed) }
        #expect(bench.touch(key(1), .milliseconds(50)).outcome == .updated)
        #expect(bench.put([9], Self.value).outcome == .created)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `a flush makes room at once`() {
        for eviction in [Eviction.none, .s3fifo] {
            let bench = Self.bench(1_000, eviction: eviction)
            for number in 0..<2_000 { bench.put(key(number), Self.value) }
            _ = bench.store.flushNamespace(bench.default, now: bench.now)
            let evicted = bench.store.statistics().evictedEntries
            for number in 0..<900 { #expect(bench.put(key(number), Self.value).outcome == .created) }
            #expect(bench.store.usage(of: bench.default).keys == 900)
            #expect(bench.store.statistics().evictedEntries == evicted)
            bench.store.checkInvariantsAtRest()
            bench.settle()
            bench.store.checkInvariantsAtRest()
        }
    }

    @Test func `a namespace that takes over a slot is counted anew`() {
        let bench = StoreBench()
        let first = bench.makeNamespace("first", eviction: .s3fifo, bytesMax: 100 * Self.bytes(8))
        for number in 0..<200 { bench.put(key(number), Self.value, in: first) }
        _ = bench.store.dropNamespace(first, now: bench.now)
        bench.settle()
        let second = bench.makeNamespace("second", eviction: .s3fifo, bytesMax: 100 * Self.bytes(8))
        #expect(second.slot == first.slot)
        for number in 0..<1_000 { bench.put(key(number), Self.value, in: second) }
        #expect(bench.memory(second) <= second.settings.bytesMax + bench.slack(second))
        #expect(bench.store.statistics().evictedEntries > 800)
        bench.store.checkInvariantsAtRest()
    }

    /// Found by reading: the queues of a shard grew beyond the places that namespaces can have, and the next sweep ended the process.
    @Test func `a sweep of many caches looked for one beyond the last`() {
        let bench = StoreBench(logBytesMax: 8 << 20)
        let made = (0..<3_000).map { bench.makeNamespace("cache-\($0)", eviction: .s3fifo, bytesMax: 1 << 20) }
        for namespace in [made[2_500], made[2_600]] {
            for number in 0..<200 { bench.put(key(number), Self.value, in: namespace) }
        }
        _ = bench.store.flushNamespace(made[2_500], now: bench.now)
        bench.settle()
        #expect(bench.store.statistics().entries == 200)
    }

    @Test func `a write does no more than a bounded share of the evicting`() {
        let bench = Self.bench(100_000, shards: 16)
        for number in 0..<100_000 { bench.put(key(number), Self.value) }
        var settings = bench.default.settings
        settings.bytesMax = 50_000 * Self.bytes(8)
        _ = bench.store.setNamespaceSettings(bench.default, settings, now: bench.now)
        bench.put(key(-1), Self.value)
        #expect(bench.store.statistics().evictedEntries <= 160)
        let report = bench.store.maintain(now: bench.now, budget: 1_000)
        #expect(report.hasMore)
        #expect(bench.store.statistics().evictedEntries <= 160 + 1_000)
        bench.settle(budget: 1_000)
        #expect(bench.memory() <= settings.bytesMax + bench.slack(bench.default))
    }

    @Test func `the limit holds when everything was just used`() {
        let bench = Self.bench(4_000, shards: 4)
        for number in 0..<4_000 { bench.put(key(number), Self.value) }
        for round in 0..<4 {
            for _ in 0..<3 { for number in 0..<20_000 { _ = bench.read(key(number)) } }
            for number in 0..<50 {
                // Short ones, and some that are as long as hundreds of others.
                let value = [UInt8](repeating: 1, count: number % 10 == 9 ? 50_000 : 8)
                bench.put(key(5_000 + 100 * round + number), value)
                #expect(bench.memory() <= bench.default.settings.bytesMax + bench.slack(bench.default))
            }
        }
        bench.store.checkInvariantsAtRest()
    }

    // MARK: Who goes

    @Test func `what nobody used goes, though hundreds that were used stand before it`() throws {
        let bench = Self.bench(1_000, shards: 1)
        for number in 0..<1_000 { bench.put(key(number), Self.value) }
        let unused = 405
        let position = TablePosition(bench.hash(key(unused)), shardBits: 0)
        let isInMain = bench.store.hold(0) { $0.find(position, key(unused).span.bytes, namespaceSlot: 0)?.entry.isInMain }
        try #require(isInMain == true)
        for _ in 0..<2 { for number in 0..<1_000 where number != unused { _ = bench.read(key(number)) } }
        bench.put(key(1_000), Self.value)
        bench.put(key(1_001), Self.value)
        #expect(bench.read(key(unused)) == nil)
        // Who was evicted beside it, as two entries came, was new.
        #expect((0..<1_000).filter { bench.read(key($0)) == nil }.count <= 2)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `what has expired goes before what is alive`() {
        let bench = Self.bench(1_000, shards: 1)
        for number in 0..<500 { bench.put(key(number), Self.value) }
        for number in 500..<800 { bench.put(key(number), Self.value, .milliseconds(10)) }
        bench.now += 100
        for number in 1_000..<1_300 { bench.put(key(number), Self.value) }
        #expect(bench.store.statistics().evictedEntries == 0)
        for number in 0..<500 { #expect(bench.read(key(number)) != nil) }
        bench.store.checkInvariantsAtRest()
    }

    @Test func `what is used stays while others pass by`() {
        let bench = Self.bench(1_000)
        for number in 0..<50 { bench.put(key(number), Self.value) }
        for number in 1_000..<20_000 {
            bench.put(key(number), Self.value)
            if number % 20 == 0 { for used in 0..<50 { _ = bench.read(key(used)) } }
        }
        #expect((0..<50).allSatisfy { bench.read(key($0)) != nil })
        bench.store.checkInvariantsAtRest()
    }

    @Test func `writing a key again is a use, and keeps its place`() {
        let bench = Self.bench(1_000, shards: 1)
        for number in 0..<50 { bench.put(key(number), Self.value) }
        for number in 1_000..<20_000 {
            bench.put(key(number), Self.value)
            // In place, elsewhere, counted up, made longer, given a lifetime.
            if number % 20 == 0 {
                for used in 0..<10 { bench.put(key(used), Self.value) }
                for used in 10..<20 { bench.put(key(used), [UInt8](repeating: 1, count: 8 + number / 20 % 40)) }
                for used in 20..<30 { bench.touch(key(used), .milliseconds(Int64(1_000_000 + number))) }
                for used in 30..<40 {
                    if bench.read(key(used))?.value == Self.value { bench.put(key(used), Array("1".utf8)) }
                    bench.increment(key(used), 9)
                }
                for used in 40..<50 { if number % 4_000 == 0 { bench.append(key(used), [1, 2, 3]) } else { _ = bench.read(key(used)) } }
            }
            if number % 1_000 == 0 { bench.store.checkInvariantsAtRest() }
        }
        #expect((0..<50).allSatisfy { bench.read(key($0)) != nil })
    }

    @Test func `what comes back soon after it was evicted is kept longer`() {
        let bench = Self.bench(1_000, shards: 1)
        for number in 0..<2_000 { bench.put(key(number), Self.value) }
        let gone = (1_000..<2_000).filter { bench.read(key($0)) == nil }.suffix(50)
        #expect(gone.count == 50)
        for number in gone { bench.put(key(number), Self.value) }
        #expect(bench.store.statistics().ghostHits == 50)
        for number in 3_000..<3_400 { bench.put(key(number), Self.value) }
        #expect(gone.allSatisfy { bench.read(key($0)) != nil })
    }

    @Test func `reading what is not in a queue writes nothing`() {
        let bench = StoreBench()
        bench.put(key(1), Self.value)
        _ = bench.read(key(1))
        let index = bench.store.shardIndex(bench.hash(key(1)))
        bench.store.hold(index) { shard in
            var cursor: UInt64 = 0
            while shard.table.scan(&cursor, { reference, _ in #expect(shard.table.entry(reference).frequency == 0) }) {}
        }
    }

    // MARK: No memory

    @Test func `a namespace that evicts makes room when the store is out of memory, and others are refused`() {
        let bench = StoreBench(shards: 4, memory: 16 << 20, logBytesMax: 1 << 30)
        let cache = bench.makeNamespace("cache", eviction: .s3fifo)
        let value = [UInt8](repeating: 7, count: 1_000)
        for number in 0..<40_000 {
            #expect(bench.put(key(number), value, in: cache).outcome == .created, "\(number)")
            if number % 1_000 == 0 { bench.drain() }
        }
        #expect(bench.store.statistics().evictedEntries > 20_000)
        #expect(bench.read(key(39_999), in: cache) != nil)
        // Longer ones, in slots of another size: whole pages have to become free first, and mostly do.
        var refused = 0
        for number in 0..<2_000 where bench.put(key(number), value + value + value, in: cache).outcome == .outOfMemory { refused += 1 }
        #expect(refused < 200)
        for number in 2_000..<4_000 where bench.put(key(number), value + value + value, in: cache).outcome == .outOfMemory { refused += 1 }
        #expect(refused < 200)
        bench.drain()
        var outcomes: Set<WriteOutcome> = []
        for number in 0..<2_000 { outcomes.insert(bench.put(key(number), value + value).outcome) }
        #expect(outcomes.contains(.outOfMemory))
        bench.store.checkInvariantsAtRest()
    }

    @Test func `values of all sizes find memory in a store that is full`() {
        // As many pages for each shard as 256 shards have of a GiB.
        let bench = StoreBench(shards: 8, memory: 32 << 20, durability: .off)
        let cache = bench.makeNamespace("cache", durability: .off, eviction: .s3fifo, bytesMax: 32 << 20)
        var random = SeededGenerator(seed: 5)
        let value = [UInt8](repeating: 7, count: 8_000)
        var refused = 0
        for number in 0..<300_000 {
            let range = number % 10 == 0 ? 1_000..<8_000 : number % 2 == 0 ? 100..<1_000 : 20..<100
            let count = Int.random(in: range, using: &random)
            if bench.put(key(number), Array(value[..<count]), in: cache).outcome != .created { refused += 1 }
        }
        #expect(refused == 0)
        // Half of the memory holds entries at least; the rest is in pages that are not full.
        #expect(bench.memory(cache) > 16 << 20)
        bench.store.checkInvariantsAtRest()
    }
}
