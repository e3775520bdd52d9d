import CacheTraces
import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// How well the store guesses what will be asked for again: against S3-FIFO as its authors carry it out, with one queue for all
/// keys, and against least recently used. `scripts/compare-eviction` does the same at full size, against theirs.
@Suite("Eviction, miss ratio") struct EvictionRatioTests {
    static let keys = 50_000
    static let requests = 500_000

    /// What an entry takes, keys being of 8 bytes.
    private func size(_ trace: RequestTrace, _ key: Int, _ bench: StoreBench) -> Int {
        let hasDeadline = trace.expiry(key, at: 0) != nil
        let shape = EntryShape(
            keyBytes: 8, valueBytes: trace.valueBytes(key), metadataBytes: 0, hasDeadline: hasDeadline, hasLinks: true)
        return bench.store.hold(0) { $0.chargedBytes(shape.byteCount) }
    }

    /// What the store misses when it has room for so many bytes.
    private func missRatio(_ trace: RequestTrace, _ bench: StoreBench) -> Double {
        let value = [UInt8](repeating: 0, count: 8_000)
        let (store, began) = (bench.store, bench.now)
        var misses = 0
        for (index, request) in trace.requests.enumerated() {
            bench.now = began + Int64(index)
            var bytes = InlineArray<8, UInt8>(repeating: 0)
            for position in 0..<8 { bytes[position] = UInt8(truncatingIfNeeded: request >> (8 * position)) }
            let key = bytes.span.bytes
            let hash = store.hash(bench.default, key)
            if store.read(bench.default, key: key, hash: hash, now: bench.now, { _ in }).hit { continue }
            misses += 1
            let lifetime: LifetimeChange = trace.expiry(request, at: index).map { .milliseconds(Int64($0 - index)) } ?? .unlimited
            _ = store.put(
                bench.default, key: key, hash: hash, value: value.span.bytes.extracting(first: trace.valueBytes(request)),
                lifetime: lifetime, now: bench.now)
        }
        store.checkInvariants()
        #expect(bench.memory() <= bench.default.settings.bytesMax + bench.slack(bench.default))
        return Double(misses) / Double(trace.requests.count)
    }

    @Test(arguments: RequestTrace.Kind.allCases)
    func `misses no more than S3-FIFO does, and less than LRU`(_ kind: RequestTrace.Kind) {
        let trace = RequestTrace(kind, keys: Self.keys, requests: Self.requests, seed: 11)
        let scratch = StoreBench(shards: 1)
        let sizes = (0..<Self.keys).map { size(trace, $0, scratch) }
        let whole = sizes.reduce(0, +)
        // As many entries a shard as a store of 256 has when it holds 16 and 160 thousand.
        for capacity in [whole / 100, whole / 10] {
            let bench = StoreBench(shards: 8, durability: .off, eviction: .s3fifo, bytesMax: capacity)
            let found = missRatio(trace, bench)
            var reference = ReferenceS3FIFO(capacity: capacity)
            var recent = ReferenceLRU(capacity: capacity)
            let size = { (key: Int) in key < sizes.count ? sizes[key] : self.size(trace, key, scratch) }
            let (exact, lru) = (reference.missRatio(trace, size: size), recent.missRatio(trace, size: size))
            // What has expired goes first, which the reference does not know.
            #expect(found <= exact + 0.01 && (kind == .mixed || found >= exact - 0.01), "\(kind), \(capacity): \(found), exact \(exact), LRU \(lru)")
            #expect(kind == .drift || found < lru, "\(kind), \(capacity): \(found), LRU \(lru)")
        }
    }
}
