import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// A cache may forget, at any write, and nothing else: what it has is what was written last, and what it has forgotten or was told
/// to remove does not come back, now or after a restart.
@Suite("Eviction against a model") struct EvictionModelTests {
    private struct Item: Equatable {
        var value: String
        var deadline: Deadline

        func isLive(_ now: Milliseconds) -> Bool { !deadline.isDue(now) }
    }

    private struct Run {
        let bench: StoreBench
        let cache: Namespace
        var random: SeededGenerator
        /// What was written last, evicted or not.
        var written: [String: Item] = [:]
        /// What the cache was last seen to have, or to have forgotten.
        var held: [String: Item] = [:]
        /// Removals and flushes were logged, so that these are gone for good.
        var forgotten = 0

        init(seed: UInt64, shards: Int) {
            bench = StoreBench(shards: shards, seed: seed, logBytesMax: 64 << 20)
            random = SeededGenerator(seed: seed &* 1_009)
            cache = bench.makeNamespace("cache", eviction: .s3fifo, bytesMax: 60_000)
        }

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

        /// A few keys are asked for often.
        mutating func key() -> String {
            let number = min(number(0..<1_000), number(0..<1_000), number(0..<1_000))
            return "k\(number)" + String(repeating: "x", count: [0, 3, 40, 300][number % 4])
        }

        mutating func value() -> String {
            let count = [1, 2, 8, 9, 40, 41, 200, 3_000, 9_000][min(number(0..<9), number(0..<9), number(0..<9))]
            return String(repeating: Character(UnicodeScalar(UInt8(number(97..<123)))), count: count)
        }

        mutating func lifetime() -> LifetimeChange {
            switch number(0..<6) {
            case 0...2: .unlimited
            case 3: .keep
            case 4: .milliseconds(Int64(number(0..<4_000)))
            default: .milliseconds(Int64(number(1..<10_000_000)))
            }
        }

        /// The entry as it is now. It may have been evicted since it was last seen, but not have changed.
        mutating func look(_ key: String) -> Item? {
            let known = held[key].flatMap { $0.isLive(bench.now) ? $0 : nil }
            let seen = bench.read(Array(key.utf8), in: cache).map {
                Item(value: String(decoding: $0.value, as: UTF8.self), deadline: $0.deadline)
            }
            if let seen {
                #expect(seen == known)
            } else {
                if known != nil { forgotten += 1 }
                held[key] = nil
            }
            return seen
        }

        mutating func note(_ key: String, _ item: Item?) {
            let live = item.flatMap { $0.isLive(bench.now) ? $0 : nil }
            held[key] = live
            written[key] = live
        }

        func deadline(_ lifetime: LifetimeChange, _ item: Item?) -> Deadline {
            lifetime.deadline(keeping: item?.deadline ?? .never, now: bench.now)
        }

        mutating func step() {
            let key = key()
            let bytes = Array(key.utf8)
            let item = look(key)
            switch number(0..<100) {
            case 0..<40:
                let (value, lifetime) = (value(), lifetime())
                let result = bench.put(bytes, Array(value.utf8), lifetime, in: cache)
                let deadline = deadline(lifetime, item)
                if deadline.isDue(bench.now) {
                    #expect(result.outcome == (item == nil ? .notFound : .removed))
                } else {
                    #expect(result.outcome == (item == nil ? .created : .updated))
                }
                note(key, Item(value: value, deadline: deadline))
            case 40..<48:
                #expect(bench.remove(bytes, in: cache).outcome == (item == nil ? .notFound : .removed))
                note(key, nil)
            case 48..<55:
                let lifetime = lifetime()
                let result = bench.touch(bytes, lifetime, in: cache)
                let deadline = deadline(lifetime, item)
                if let item {
                    #expect(result.outcome == (deadline.isDue(bench.now) ? .removed : .updated))
                    note(key, Item(value: item.value, deadline: deadline))
                } else {
                    #expect(result.outcome == .notFound)
                    if deadline.isDue(bench.now) { note(key, nil) }
                }
            case 55..<60:
                let present = item.map { Int64($0.value) } ?? 0
                let result = bench.increment(bytes, 7, .unlimited, in: cache)
                #expect(result.integer == (present.map { $0 + 7 } ?? result.integer))
                if let present { note(key, Item(value: "\(present + 7)", deadline: item?.deadline ?? .never)) }
            case 60..<65:
                let suffix = value()
                #expect(bench.append(bytes, Array(suffix.utf8), .unlimited, in: cache).version > 0)
                note(key, Item(value: (item?.value ?? "") + suffix, deadline: item?.deadline ?? .never))
            case 65..<95: break
            case 95: bench.now += Int64(number(0..<20))
            case 96: if number(0..<4) == 0 { bench.now += Int64(number(0..<1_000_000)) }
            case 97..<99: _ = bench.store.maintain(now: bench.now, budget: number(1..<200))
            default:
                if number(0..<40) == 0 {
                    #expect(bench.store.flushNamespace(cache, now: bench.now).outcome == .removed)
                    (held, written) = ([:], [:])
                }
            }
            _ = look(key)
            #expect(bench.memory(cache) <= cache.settings.bytesMax + bench.slack(cache))
        }
    }

    @Test(arguments: Seeds.smoke) func `forgets, and does nothing else that a store does not`(_ seed: UInt64) throws {
        var run = Run(seed: seed, shards: [1, 4, 16][Int(seed % 3)])
        let bench = run.bench
        // What a restart would find: a snapshot that was begun at some time, and the log from there on.
        var snapshot: [UInt8] = []
        var log = Self.staged(bench)
        for round in 0..<20 {
            for _ in 0..<400 { run.step() }
            bench.store.checkInvariants()
            if round % 4 == 3 {
                _ = Self.staged(bench)
                var buffer = ByteBuffer()
                _ = bench.store.appendNamespaces(to: &buffer)
                var cursor = WalkCursor()
                while !cursor.isAtEnd {
                    _ = bench.store.walk(&cursor, entriesMax: 8, bytesMax: 4_096, into: &buffer)
                    run.step()
                }
                (snapshot, log) = (Array(buffer.bytes), [])
            }
            log += Self.staged(bench)
            let copy = StoreHarness(shards: [4, 1, 32][round % 3], seed: seed &+ 5)
            copy.now = bench.now
            try copy.apply(entries: snapshot)
            try copy.apply(records: log)
            let twin = try #require(copy.find("cache"))
            #expect(copy.store.usage(of: twin).memoryBytes <= twin.settings.bytesMax + copy.store.shardCount * twin.budget.batch)
            for key in run.written.keys {
                guard let value = copy.get(key, in: twin) else { continue }
                #expect(value == run.written[key].flatMap { $0.isLive(bench.now) ? $0.value : nil }, "seed \(seed): \(key)")
            }
            for number in 0..<1_000 {
                let key = "k\(number)" + String(repeating: "x", count: [0, 3, 40, 300][number % 4])
                if run.written[key] == nil { #expect(copy.get(key, in: twin) == nil, "seed \(seed): \(key) is back") }
            }
            copy.store.checkInvariants()
        }
        #expect(run.forgotten > 100)
        bench.now += 20_000_000
        _ = bench.store.flushNamespace(run.cache, now: bench.now)
        bench.settle(budget: 100)
        bench.store.checkInvariantsAtRest()
        #expect(bench.store.statistics().entries == 0)
    }

    /// The records that were staged since the last call.
    private static func staged(_ bench: StoreBench) -> [UInt8] {
        var taken = ByteBuffer()
        _ = bench.log.take(into: &taken)
        return Array(taken.bytes)
    }

    // MARK: Restarts

    private static func settings(_ bytesMax: Int) -> NamespaceSettings {
        NamespaceSettings(keyRule: .bytes, eviction: .s3fifo, bytesMax: bytesMax)
    }

    @Test func `a snapshot and a log of more than the limit are loaded within it`() throws {
        let source = StoreHarness(shards: 8)
        let cache = try #require(source.create("cache", settings: Self.settings(4 << 20)).namespace)
        for number in 0..<20_000 { source.put("key-\(number)", "value", in: cache) }
        // Everything, and then with a smaller limit.
        let entries = source.walk()
        _ = source.drain()
        var settings = cache.settings
        settings.bytesMax = 100_000
        _ = source.store.setNamespaceSettings(cache, settings, now: source.now)
        let namespaces = source.namespaceEntries()
        for number in 20_000..<30_000 { source.put("key-\(number)", "value", in: cache) }

        let copy = StoreHarness(shards: 32, seed: 3)
        try copy.apply(entries: namespaces)
        let twin = try #require(copy.find("cache"))
        let most = twin.settings.bytesMax + copy.store.shardCount * twin.budget.batch
        try copy.apply(entries: entries)
        #expect(copy.store.usage(of: twin).memoryBytes <= most)
        try copy.apply(records: source.drain())
        #expect(copy.store.usage(of: twin).memoryBytes <= most)
        #expect(copy.store.usage(of: twin).memoryBytes > twin.settings.bytesMax * 9 / 10)
        #expect(copy.get("key-29999", in: twin) == "value")
        #expect(copy.store.recordsWithoutMemory == 0)
        copy.store.checkInvariants()
    }

    @Test func `a cache that does not fit into memory any more is loaded as far as it does`() throws {
        let source = StoreHarness(shards: 4)
        let cache = try #require(source.create("cache", settings: Self.settings(0)).namespace)
        let value = String(repeating: "v", count: 1_000)
        for number in 0..<30_000 { source.put("key-\(number)", value, in: cache) }
        let copy = StoreHarness(shards: 4, memoryBytesMax: 16 << 20)
        try copy.apply(records: source.drain())
        let twin = try #require(copy.find("cache"))
        #expect(copy.store.recordsWithoutMemory == 0)
        #expect(copy.store.usage(of: twin).keys > 10_000)
        copy.store.checkInvariants()
    }

    @Test func `the removal of a key that was evicted is not forgotten`() throws {
        let source = StoreHarness(shards: 1)
        let cache = try #require(source.create("cache", settings: Self.settings(20_000)).namespace)
        _ = source.drain()
        for number in 0..<1_000 { source.put("old-\(number)", "value", in: cache) }
        source.put("gone", "v", in: cache)
        source.put("kept", "v", in: cache)
        for number in 0..<1_000 { source.put("key-\(number)", "value", in: cache) }
        #expect(source.get("gone", in: cache) == nil)
        #expect(source.get("kept", in: cache) == nil)
        #expect(source.remove("gone", in: cache).outcome == .notFound)
        // With all the room there is, so that nothing but the removal can hide it.
        let copy = StoreHarness(shards: 1)
        let twin = try #require(copy.create("cache", settings: Self.settings(0)).namespace)
        try copy.apply(records: source.drain())
        #expect(copy.get("kept", in: twin) == "v")
        #expect(copy.get("gone", in: twin) == nil)
    }

    @Test func `a snapshot keeps what is known of the use of an entry`() throws {
        let source = StoreHarness(shards: 1)
        let cache = try #require(source.create("cache", settings: Self.settings(100_000)).namespace)
        for number in 0..<400 { source.put("key-\(number)", "value", in: cache) }
        for _ in 0..<3 { for number in 0..<400 where number % 4 == 0 { _ = source.get("key-\(number)", in: cache) } }
        let copy = StoreHarness(shards: 1, seed: 9)
        try copy.apply(entries: source.namespaceEntries())
        try copy.apply(entries: source.walk())
        let known = Self.uses(source.store)
        #expect(known.count == 400)
        #expect(Set(known.values).count >= 3)
        #expect(Self.uses(copy.store) == known)
        copy.store.checkInvariants()
    }

    /// Of each entry how often it was used, and whether it is in the main queue.
    private static func uses(_ store: Store) -> [String: Int] {
        var uses: [String: Int] = [:]
        for index in 0..<store.shardCount {
            store.hold(index) { shard in
                var cursor: UInt64 = 0
                while shard.table.scan(&cursor, { reference, _ in
                    let entry = shard.table.entry(reference)
                    uses[String(utf8: entry.key)] = Int(entry.frequency) + (entry.isInMain ? 10 : 0)
                }) {}
            }
        }
        return uses
    }
}
