import Foundation
import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// What a read and a write cost in the store alone. Run with LARDER_MEASURE set, on a processor of its own; prints nanoseconds
/// of processor time for each, the least and the median of several rounds over a million keys in random order.
@Suite("Store measured", .serialized, .enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil))
struct StoreMeasureTests {
    private static let keys = 1_000_000
    private static let rounds = 11
    private static let batch = 32

    private struct Work {
        let bench: StoreBench
        let namespace: Namespace
        var random = SeededGenerator(seed: 7)
        var bytes = [UInt8](repeating: 0, count: 16)
        let value = [UInt8](repeating: 9, count: 32)
        var found = 0

        mutating func spell(_ number: Int) {
            for index in 0..<8 {
                bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index))
                bytes[8 + index] = bytes[index] ^ 0x55
            }
        }

        mutating func fill() {
            for number in 0..<StoreMeasureTests.keys {
                spell(number)
                put(bench.store.hash(namespace, bytes.span.bytes))
                if number % 1_000 == 0 { bench.drain() }
            }
            bench.drain()
        }

        mutating func put(_ hash: KeyHash) {
            _ = bench.store.put(namespace, key: bytes.span.bytes, hash: hash, value: value.span.bytes, now: bench.now)
        }

        /// As the server does it: a batch is hashed and prefetched, then carried out.
        mutating func inBatches(_ body: (inout Work, KeyHash) -> Void) -> Double {
            let began = LarderPlatform.Thread.processNanoseconds()
            for _ in 0..<(StoreMeasureTests.keys / StoreMeasureTests.batch) {
                var numbers = InlineArray<32, Int>(repeating: 0)
                var hashes = InlineArray<32, UInt64>(repeating: 0)
                for index in 0..<StoreMeasureTests.batch {
                    numbers[index] = Int(random.next() % UInt64(StoreMeasureTests.keys))
                    spell(numbers[index])
                    let hash = bench.store.hash(namespace, bytes.span.bytes)
                    hashes[index] = hash.value
                    bench.store.prefetch(hash)
                }
                for index in 0..<StoreMeasureTests.batch { bench.store.prefetchEntry(KeyHash(value: hashes[index])) }
                for index in 0..<StoreMeasureTests.batch {
                    spell(numbers[index])
                    body(&self, KeyHash(value: hashes[index]))
                }
                bench.drain()
            }
            return Double(LarderPlatform.Thread.processNanoseconds() - began) / Double(StoreMeasureTests.keys)
        }
    }

    private func measure(_ name: String, _ work: inout Work, _ body: (inout Work, KeyHash) -> Void) {
        var samples: [Double] = []
        for _ in 0..<Self.rounds { samples.append(work.inBatches(body)) }
        samples.sort()
        print("\(name): least \(Int(samples[0])) ns, median \(Int(samples[Self.rounds / 2])) ns (\(work.found) found)")
    }

    private func measureAll(_ label: String, _ work: inout Work) {
        work.fill()
        measure("\(label) GET", &work) { work, hash in
            let result = work.bench.store.read(work.namespace, key: work.bytes.span.bytes, hash: hash, now: work.bench.now) { _ in }
            if result.hit { work.found += 1 }
        }
        measure("\(label) SET", &work) { work, hash in work.put(hash) }
    }

    @Test func `reads and writes`() {
        for durability in [Durability.always, .off] {
            let bench = StoreBench(shards: 256, logBytesMax: 32 << 20, durability: durability)
            var work = Work(bench: bench, namespace: bench.default)
            measureAll("\(durability)", &work)
        }
    }

    /// A cache with room for a quarter of the keys: three of four reads miss, and each write evicts.
    @Test func `reads and writes of a full cache`() {
        let bench = StoreBench(shards: 256, logBytesMax: 32 << 20, durability: .off, eviction: .s3fifo, bytesMax: Self.keys / 4 * 88)
        var work = Work(bench: bench, namespace: bench.default)
        measureAll("full cache, off", &work)
        let began = LarderPlatform.Thread.nanoseconds()
        var longest: [Int64] = []
        for _ in 0..<Self.keys {
            work.spell(Int(work.random.next() % UInt64(Self.keys)))
            let hash = bench.store.hash(work.namespace, work.bytes.span.bytes)
            let before = LarderPlatform.Thread.nanoseconds()
            work.put(hash)
            longest.append(LarderPlatform.Thread.nanoseconds() - before)
        }
        longest.sort()
        print("full cache, SET with two clock calls: median \(longest[Self.keys / 2]) ns, 99.99 % \(longest[Self.keys / 10_000 * 9_999]) ns,",
            "longest \(longest[Self.keys - 1]) ns; all \((LarderPlatform.Thread.nanoseconds() - began) / 1_000_000) ms")
        print("memory \(bench.store.statistics().arenaBytes + bench.store.statistics().ghostBytes) of \(bench.default.settings.bytesMax)")
    }
}
