import LarderBytes
import LarderPlatform
import Synchronization
import Testing
@testable import LarderEngine

/// Reads that take no lock: what they say is what a read with the lock would have said, or nothing.
@Suite("Reads without a lock") struct OptimisticReadTests {
    private static func look(
        _ bench: StoreBench, _ key: String, in namespace: Namespace? = nil, meanwhile: () -> Void = {}
    ) -> [UInt8]? {
        var value: [UInt8] = []
        let bytes = Array(key.utf8)
        let isRead = bench.store.readOptimistically(
            namespace ?? bench.default, key: bytes.span.bytes, hash: bench.store.hash(namespace ?? bench.default, bytes.span.bytes),
            now: bench.now
        ) { entry in
            value = Array(entry.value)
            meanwhile()
            return true
        }
        return isRead ? value : nil
    }

    private static func put(
        _ bench: StoreBench, _ key: String, _ value: [UInt8], metadata: [UInt8] = [], lifetime: LifetimeChange = .unlimited,
        in namespace: Namespace? = nil
    ) {
        let (bytes, namespace) = (Array(key.utf8), namespace ?? bench.default)
        let result = bench.store.put(
            namespace, key: bytes.span.bytes, hash: bench.store.hash(namespace, bytes.span.bytes), value: value.span.bytes,
            metadata: metadata.span.bytes, lifetime: lifetime, now: bench.now)
        #expect(result.outcome == .created || result.outcome == .updated)
    }

    private static func remove(_ bench: StoreBench, _ key: String) {
        let bytes = Array(key.utf8)
        _ = bench.store.remove(bench.default, key: bytes.span.bytes, hash: bench.store.hash(bench.default, bytes.span.bytes), now: bench.now)
    }

    @Test func `nearly all entries are found so`() {
        let bench = StoreBench(shards: 4)
        let lifetimes: [LifetimeChange] = [.unlimited, .milliseconds(1_000)]
        for number in 0..<20_000 {
            Self.put(bench, "key-\(number)", Array("value \(number)".utf8), lifetime: lifetimes[number % 2])
            if number % 1_000 == 0 { bench.drain() }
        }
        bench.settle()
        var found = 0
        for number in 0..<20_000 {
            guard let value = Self.look(bench, "key-\(number)") else { continue }
            #expect(value == Array("value \(number)".utf8))
            found += 1
        }
        #expect(found > 19_900, "the few that lie past the end of a table are left to `read`")
    }

    @Test func `what needs more than a look is left to a read with the lock`() {
        let bench = StoreBench()
        Self.put(bench, "typed", [1], metadata: Array([Metadata.contentType, 1, 0x61]))
        Self.put(bench, "short", [1], lifetime: .milliseconds(10))
        Self.put(bench, "gone", [1])
        Self.remove(bench, "gone")
        #expect(Self.look(bench, "typed") == nil)
        #expect(Self.look(bench, "gone") == nil)
        #expect(Self.look(bench, "never") == nil)
        #expect(Self.look(bench, "short") == [1])
        bench.now += 10
        #expect(Self.look(bench, "short") == nil, "a deadline equal to now is due")
        Self.put(bench, "flushed", [1])
        #expect(Self.look(bench, "flushed") == [1])
        _ = bench.store.flushNamespace(bench.default, now: bench.now)
        #expect(Self.look(bench, "flushed") == nil)
    }

    @Test func `nothing is seen of a namespace that was dropped, nor of it in the one that has its slot`() {
        let bench = StoreBench()
        let first = bench.makeNamespace("first")
        Self.put(bench, "key", [1], in: first)
        #expect(Self.look(bench, "key", in: first) == [1])
        _ = bench.store.dropNamespace(first, now: bench.now)
        #expect(Self.look(bench, "key", in: first) == nil)
        bench.drain()
        bench.settle()
        let second = bench.makeNamespace("another")
        #expect(Self.look(bench, "key", in: second) == nil)
        #expect(Self.look(bench, "key", in: first) == nil)
    }

    @Test func `a use is noted until there is nothing left to note`() {
        let bench = StoreBench(eviction: .s3fifo, bytesMax: 1 << 20)
        Self.put(bench, "key", [7])
        var looked = 0
        while Self.look(bench, "key") == nil, looked < 10 {
            looked += 1
            #expect(bench.read(Array("key".utf8))?.value == [7])
        }
        #expect(looked == 3, "three uses are counted, and each of them takes the lock")
    }

    @Test func `nothing is believed that changed while it was copied`() {
        let bench = StoreBench(shards: 1)
        Self.put(bench, "key", [1, 1, 1])
        #expect(Self.look(bench, "key") { Self.put(bench, "key", [2, 2, 2]) } == nil, "overwritten in place")
        #expect(Self.look(bench, "key") { Self.put(bench, "other", [3]) } == nil, "any change of the shard will do")
        #expect(Self.look(bench, "key") { Self.remove(bench, "key") } == nil)
        #expect(Self.look(bench, "key") == nil)
    }

    @Test func `nobody looks at a shard that is being changed`() {
        let bench = StoreBench(shards: 1)
        Self.put(bench, "key", [1])
        bench.store.hold(0) { _ in #expect(Self.look(bench, "key") == nil) }
        #expect(Self.look(bench, "key") == [1])
    }

    @Test func `a table on the move is left alone, for its memory goes bucket by bucket`() {
        let bench = StoreBench(shards: 1)
        var number = 0
        func isMoving() -> Bool { bench.store.hold(0) { $0.table.isMoving } }
        while !isMoving() || number < 10_000 {
            Self.put(bench, "key-\(number)", [1])
            number += 1
            if number % 1_000 == 0 { bench.drain() }
        }
        #expect((0..<number).allSatisfy { Self.look(bench, "key-\($0)") == nil })
        bench.settle()
        #expect(!isMoving())
        #expect(Self.look(bench, "key-0") == [1])
    }

    // MARK: Many threads

    private static let values: [[UInt8]] = (0..<256).map { [UInt8](repeating: UInt8($0), count: 16 + $0 * 7 % 200) }

    private static func isWhole(_ value: [UInt8]) -> Bool { value.first.map { value == values[Int($0)] } ?? false }

    private struct Shared: @unchecked Sendable {
        let bench: StoreBench
        let reads = Counter()
        let broken = Counter()
        let stale = Counter()
        let isOver = Counter()
    }

    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
        func add() { value.wrappingAdd(1, ordering: .relaxed) }
    }

    /// Overwrites, removes and adds keys of its own, so that entries change in place and move, tables grow and shrink, and memory is
    /// another's a moment later; and sees its own writes.
    private static func write(_ shared: Shared, _ writer: Int, seed: UInt64) {
        let (store, namespace, now) = (shared.bench.store, shared.bench.default, shared.bench.now)
        var random = SeededGenerator(seed: seed)
        var round = 0
        // Until others have seen enough of it.
        while round < 60_000 || shared.reads.value.load(ordering: .relaxed) < 20_000 {
            round += 1
            let spread = round / 10_000 % 2 == 0 ? 64 : 8_192
            let key = Array("\(writer)-\(Int.random(in: 0..<spread, using: &random))".utf8)
            let hash = store.hash(namespace, key.span.bytes)
            if Int.random(in: 0..<3, using: &random) == 0 {
                let result = store.remove(namespace, key: key.span.bytes, hash: hash, now: now)
                // Refused when the log is full for the moment.
                guard result.outcome == .removed || result.outcome == .notFound else { continue }
                if store.readOptimistically(namespace, key: key.span.bytes, hash: hash, now: now, { _ in true }) { shared.stale.add() }
                continue
            }
            let value = values[Int.random(in: 0..<256, using: &random)]
            let result = store.put(namespace, key: key.span.bytes, hash: hash, value: value.span.bytes, now: now)
            guard result.outcome == .created || result.outcome == .updated else { continue }
            var seen: [UInt8] = []
            let isRead = store.readOptimistically(namespace, key: key.span.bytes, hash: hash, now: now) {
                seen = Array($0.value)
                return true
            }
            if isRead, seen != value { shared.stale.add() }
        }
        shared.isOver.add()
    }

    private static func read(_ shared: Shared, _ writers: Int, seed: UInt64) {
        let (store, namespace, now) = (shared.bench.store, shared.bench.default, shared.bench.now)
        var random = SeededGenerator(seed: seed)
        var latest: [[UInt8]: LSN] = [:]
        while shared.isOver.value.load(ordering: .relaxed) < writers {
            let key = Array("\(Int.random(in: 0..<writers, using: &random))-\(Int.random(in: 0..<64, using: &random))".utf8)
            let hash = store.hash(namespace, key.span.bytes)
            var seen: [UInt8] = []
            var lsn = LSN.zero
            let isRead = store.readOptimistically(namespace, key: key.span.bytes, hash: hash, now: now) {
                seen = Array($0.value)
                lsn = $0.lsn
                return true
            }
            guard isRead else { continue }
            shared.reads.add()
            if !isWhole(seen) { shared.broken.add() }
            if lsn < latest[key, default: .zero] { shared.stale.add() }
            latest[key] = lsn
        }
    }

    @Test(arguments: Seeds.smoke) func `values are whole and never older than what was seen before`(_ seed: UInt64) throws {
        let shared = Shared(bench: StoreBench(shards: 2, seed: seed))
        let (writers, readers) = (2, 2)
        let work: @Sendable (Int) -> Void = { index in
            if index < writers {
                Self.write(shared, index, seed: seed &* 100 &+ UInt64(index))
            } else if index < writers + readers {
                Self.read(shared, writers, seed: seed &* 100 &+ UInt64(index))
            } else {
                var drained = ByteBuffer()
                while shared.isOver.value.load(ordering: .relaxed) < writers {
                    _ = shared.bench.store.maintain(now: shared.bench.now, budget: 1_000)
                    _ = shared.bench.log.take(into: &drained)
                    drained.removeAll()
                }
            }
        }
        let threads = try (0..<(writers + readers + 1)).map { index in try Thread(name: "test \(index)") { work(index) } }
        for thread in threads { thread.join() }
        #expect(shared.broken.value.load(ordering: .relaxed) == 0, "seed \(seed)")
        #expect(shared.stale.value.load(ordering: .relaxed) == 0, "seed \(seed)")
        shared.bench.store.checkInvariants()
    }
}
