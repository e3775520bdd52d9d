import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

@Suite("Store memory") struct StoreMemoryTests {
    /// Fills a store with keys of 16 and values of 32 bytes.
    private func fill(_ bench: StoreBench, _ count: Int, _ lifetime: (Int) -> LifetimeChange) {
        let value = [UInt8](repeating: 9, count: 32)
        for number in 0..<count {
            #expect(bench.put(key(number) + key(number &* 7), value, lifetime(number)).outcome == .created)
            if number % 1_000 == 0 { bench.drain() }
        }
        bench.drain()
    }

    private func overhead(_ bench: StoreBench, _ count: Int) -> Double {
        Double(bench.store.statistics().arenaBytes) / Double(count) - 48
    }

    @Test func `an entry costs at most 32 bytes beyond key and value`() {
        let bench = StoreBench(shards: 16)
        fill(bench, 300_000) { _ in .unlimited }
        let cost = overhead(bench, 300_000)
        #expect(cost <= 32, "\(cost) bytes")
    }

    @Test func `an entry with a lifetime costs at most 42 bytes beyond key and value`() {
        let bench = StoreBench(shards: 16)
        fill(bench, 300_000) { .milliseconds(Int64(60_000 + $0 % 3_600_000)) }
        let cost = overhead(bench, 300_000)
        #expect(cost <= 42, "\(cost) bytes")
    }

    /// In pages of 16 KiB and more it was several times as much.
    @Test(arguments: [(20_000, 1.85), (100_000, 1.4)])
    func `pages that are not full took more than the values of many sizes that lie in them`(_ count: Int, most: Double) {
        let bench = StoreBench(shards: 256, durability: .off)
        var random = SeededGenerator(seed: 5)
        let value = [UInt8](repeating: 9, count: 2_000)
        for number in 0..<count {
            bench.put(key(number), Array(value[..<Int.random(in: 20...2_000, using: &random)]))
        }
        bench.settle()
        let usage = bench.store.statistics()
        let share = Double(usage.arenaBytes) / Double(usage.entryBytes)
        #expect(share <= most, "\(usage.arenaBytes) bytes for \(usage.entryBytes)")
        bench.store.checkInvariantsAtRest()
    }

    @Test func `a million keys due in the same second are gone at once, and their memory soon`() {
        let bench = StoreBench(shards: 64)
        let idle = bench.store.statistics().arenaBytes
        fill(bench, 1_000_000) { .milliseconds(Int64(60_000 + $0 % 1_000)) }
        let full = bench.store.statistics().arenaBytes
        bench.now += 59_999
        bench.settle()
        #expect(bench.store.statistics().entries == 1_000_000)
        bench.now += 1_000
        for number in stride(from: 0, to: 1_000_000, by: 1_009) {
            #expect(bench.read(key(number) + key(number &* 7)) == nil, "key \(number)")
        }
        // Memory comes back a tick of the wheel later. Every call is bounded; so is their number: each entry is looked at a few times at most.
        bench.now += TimingWheel.tickMilliseconds
        let calls = bench.settle(budget: 10_000)
        #expect(calls <= 1_000, "\(calls) calls")
        let after = bench.store.statistics()
        #expect(after.entries == 0)
        #expect(after.slabBytes == 0)
        #expect(after.wheelRecords == 0)
        #expect(after.expiredTotal == 1_000_000)
        #expect(after.arenaBytes <= idle * 2, "\(idle) before, \(full) in between, \(after.arenaBytes) after")
        #expect(after.untrimmedBytes <= 2 << 20)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `a flush takes effect at once and gives the memory back in steps`() {
        let bench = StoreBench(shards: 16)
        let idle = bench.store.statistics().arenaBytes
        fill(bench, 200_000) { _ in .unlimited }
        #expect(bench.store.usage(of: bench.default).keys == 200_000)
        #expect(bench.store.usage(of: bench.default).bytes == 200_000 * 48)
        _ = bench.store.flushNamespace(bench.default, now: bench.now)
        #expect(bench.store.usage(of: bench.default).keys == 0)
        #expect(bench.read(key(5) + key(35)) == nil)
        bench.put([1], [1])
        bench.settle(budget: 1_000)
        let after = bench.store.statistics()
        #expect(after.entries == 1)
        #expect(after.arenaBytes <= idle + 64 * 1_024)
        #expect(bench.read([1])?.value == [1])
        bench.store.checkInvariantsAtRest()
    }

    @Test func `one call of maintenance does no more than its budget`() {
        let bench = StoreBench(shards: 4)
        fill(bench, 20_000) { _ in .milliseconds(1_000) }
        bench.now += 1_000
        let report = bench.store.maintain(now: bench.now, budget: 500)
        let left = bench.store.statistics().entries
        #expect(report.hasMore)
        #expect(left < 20_000)
        #expect(left >= 20_000 - 2_000, "erased \(20_000 - left)")
    }

    @Test func `the longest hold is known for each chore that held a shard, and only for those`() {
        let bench = StoreBench(shards: 4)
        fill(bench, 5_000) { _ in .milliseconds(1_000) }
        bench.settle()
        let times = { Chore.allCases.map { bench.store.holdTimes.longest($0) > 0 } }
        // Tables grow with the entries, and that goes on until they have moved.
        #expect(times()[1...] == [false, false])
        var cursor = WalkCursor()
        var buffer = ByteBuffer()
        _ = bench.store.walk(&cursor, into: &buffer)
        #expect(times()[1...] == [true, false])
        var work = 100
        _ = bench.store.prepareListing(bench.default, now: bench.now, work: &work)
        #expect(times()[1...] == [true, true])
        bench.now += 1_010
        bench.settle()
        #expect(times() == [true, true, true])
        // A round that finds nothing to do takes no time off.
        let upkeep = bench.store.holdTimes.longest(.upkeep)
        bench.settle()
        #expect(bench.store.holdTimes.longest(.upkeep) == upkeep)
    }

    @Test func `maintenance says when something falls due next`() throws {
        let bench = StoreBench(shards: 4)
        bench.settle()
        #expect(bench.store.maintain(now: bench.now, budget: 100) == MaintenanceReport(hasMore: false, nextDue: nil))
        bench.put([1], [1], .milliseconds(500))
        let due = try #require(bench.store.maintain(now: bench.now, budget: 100).nextDue)
        #expect(due <= bench.now + 510)
        #expect(due > bench.now)
    }
}
