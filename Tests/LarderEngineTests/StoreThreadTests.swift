import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Synchronization
import Testing

private final class Tallies: Sendable {
    let torn = Atomic<Int>(0)
    let finished = Atomic<Int>(0)
    let added = Atomic<Int>(0)
}

@Suite("Store under threads") struct StoreThreadTests {
    /// A value that says which key it belongs to and is the same all over, so that a torn one shows.
    private static func value(_ number: Int, _ round: Int) -> [UInt8] {
        key(number) + [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: 8 + round % 500)
    }

    private static func isWhole(_ value: [UInt8], _ number: Int) -> Bool {
        value.count >= 16 && Array(value[0..<8]) == key(number) && value[8...].allSatisfy { $0 == value[8] }
    }

    /// Runs `body` on so many threads at once, more than there may be processors, and waits for all of them.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let threads = (0..<count).map { number in try! Thread(name: "test \(number)") { body(number) } }
        for thread in threads { thread.join() }
    }

    @Test(arguments: Seeds.smoke.prefix(3)) func `values stay whole and counters exact`(_ seed: UInt64) {
        let bench = StoreBench(shards: 8, seed: seed)
        let other = bench.makeNamespace("other")
        let tallies = Tallies()
        let writers = 3
        onThreads(writers + 1) { thread in
            if thread == writers {
                // The fourth takes the log's part and the maintenance's.
                var drained = ByteBuffer()
                while tallies.finished.load(ordering: .acquiring) < writers {
                    _ = bench.log.take(into: &drained)
                    drained.removeAll()
                    _ = bench.store.maintain(now: bench.now + 100, budget: 300)
                }
                return
            }
            var random = SeededGenerator(seed: seed &* 31 &+ UInt64(thread))
            for round in 0..<60_000 {
                let number = Int.random(in: 0..<2_000, using: &random)
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<35:
                    let lifetime: LifetimeChange = round % 3 == 0 ? .milliseconds(Int64(round % 150)) : .unlimited
                    bench.put(key(number), Self.value(number, round), lifetime)
                case 35..<42: bench.remove(key(number))
                case 42..<48: bench.touch(key(number), .milliseconds(Int64(50 + round % 100)))
                case 48..<55:
                    var outcome = WriteOutcome.backlog
                    while outcome == .backlog { outcome = bench.increment([1, 2, 3], 1, in: other).outcome }
                    tallies.added.wrappingAdd(1, ordering: .relaxed)
                case 55:
                    if round % 50 == 0 { _ = bench.store.flushNamespace(bench.default, now: bench.now) }
                default:
                    if let seen = bench.read(key(number)), !Self.isWhole(seen.value, number) {
                        tallies.torn.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
            tallies.finished.wrappingAdd(1, ordering: .releasing)
        }
        #expect(tallies.torn.load(ordering: .relaxed) == 0, "seed \(seed)")
        bench.drain()
        #expect(bench.increment([1, 2, 3], 0, in: other).integer == Int64(tallies.added.load(ordering: .relaxed)))
        bench.store.checkInvariantsAtRest()
        bench.now += 1_000
        _ = bench.store.flushNamespace(bench.default, now: bench.now)
        bench.settle()
        #expect(bench.store.statistics().entries == 1)
        bench.store.checkInvariantsAtRest()
    }

    @Test(arguments: Seeds.smoke.prefix(3)) func `a cache stays within its limit while many write to it`(_ seed: UInt64) {
        let bench = StoreBench(shards: 16, seed: seed, logBytesMax: 8 << 20)
        let cache = bench.makeNamespace("cache", eviction: .s3fifo, bytesMax: 1 << 20)
        let tallies = Tallies()
        let writers = 3
        // Each may have an entry in hand for which it has not made room yet.
        let most = cache.settings.bytesMax + bench.slack(cache) + writers * 1_024
        onThreads(writers + 1) { thread in
            if thread == writers {
                var drained = ByteBuffer()
                while tallies.finished.load(ordering: .acquiring) < writers {
                    _ = bench.log.take(into: &drained)
                    drained.removeAll()
                    _ = bench.store.maintain(now: bench.now + 100, budget: 300)
                    // Shards are summed up one after another, so this is not exact; far beyond the limit it never is.
                    if bench.memory(cache) > most + most / 20 { tallies.added.wrappingAdd(1, ordering: .relaxed) }
                }
                return
            }
            var random = SeededGenerator(seed: seed &* 31 &+ UInt64(thread))
            for round in 0..<40_000 {
                let number = min(Int.random(in: 0..<50_000, using: &random), Int.random(in: 0..<50_000, using: &random))
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<40:
                    let lifetime: LifetimeChange = round % 3 == 0 ? .milliseconds(Int64(round % 150)) : .unlimited
                    bench.put(key(number), Self.value(number, round), lifetime, in: cache)
                case 40..<45: bench.remove(key(number), in: cache)
                case 45..<50: bench.touch(key(number), .milliseconds(Int64(50 + round % 100)), in: cache)
                case 50: if round % 500 == 0 { _ = bench.store.flushNamespace(cache, now: bench.now) }
                default:
                    if let seen = bench.read(key(number), in: cache), !Self.isWhole(seen.value, number) {
                        tallies.torn.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
            tallies.finished.wrappingAdd(1, ordering: .releasing)
        }
        #expect(tallies.torn.load(ordering: .relaxed) == 0, "seed \(seed)")
        #expect(tallies.added.load(ordering: .relaxed) == 0, "seed \(seed)")
        bench.drain()
        bench.settle()
        #expect(bench.memory(cache) <= cache.settings.bytesMax + bench.slack(cache))
        bench.store.checkInvariantsAtRest()
    }
}
