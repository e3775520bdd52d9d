import CacheTraces
import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// How well the store guesses what will be asked for again: against S3-FIFO as its authors carry it out, with one queue for all
/// keys, and against least recently used.
@Suite("Eviction, miss ratio") struct EvictionRatioTests {
    static let keys = 50_000
    static let requests = 500_000

    /// What the store misses when it has room for so many entries.
    private func missRatio(_ trace: RequestTrace, capacity: Int, shards: Int) -> Double {
        let entryBytes = 16 + 8 + 8 + 8 + Shard.bytesElsewhere
        let bench = StoreBench(shards: shards, durability: .off, eviction: .s3fifo, bytesMax: capacity * entryBytes)
        let value = [UInt8](repeating: 0, count: 8)
        let store = bench.store
        var misses = 0
        for request in trace.requests {
            var bytes = InlineArray<8, UInt8>(repeating: 0)
            for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: request >> (8 * index)) }
            let key = bytes.span.bytes
            let hash = store.hash(bench.default, key)
            if store.read(bench.default, key: key, hash: hash, now: bench.now, { _ in }).hit { continue }
            misses += 1
            _ = store.put(bench.default, key: key, hash: hash, value: value.span.bytes, now: bench.now)
        }
        store.checkInvariants()
        let most = bench.default.settings.bytesMax + bench.slack(bench.default)
        #expect(bench.memory() <= most)
        return Double(misses) / Double(trace.requests.count)
    }

    @Test(arguments: RequestTrace.Kind.allCases)
    func `misses no more than S3-FIFO does, and less than LRU`(_ kind: RequestTrace.Kind) {
        let trace = RequestTrace(kind, keys: Self.keys, requests: Self.requests, seed: 11)
        // As many entries a shard as a store of 256 has when it holds 16 and 160 thousand.
        for capacity in [Self.keys / 100, Self.keys / 10] {
            let found = missRatio(trace, capacity: capacity, shards: 8)
            var reference = ReferenceS3FIFO(capacity: capacity)
            var recent = ReferenceLRU(capacity: capacity)
            let (exact, lru) = (reference.missRatio(trace), recent.missRatio(trace))
            #expect(abs(found - exact) <= 0.01, "\(kind), \(capacity): \(found), exact \(exact), LRU \(lru)")
            #expect(kind == .drift || found < lru, "\(kind), \(capacity): \(found), LRU \(lru)")
        }
    }
}
