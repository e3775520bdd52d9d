import Foundation
import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

@Suite("Compaction") struct CompactionTests {
    private func key(_ number: Int) -> [UInt8] { Array("key/\(number)".utf8) }

    @Test(arguments: [(100, 2_000), (2_000, 100)]) func `a day in which values become longer or shorter strands no memory`(
        _ first: Int, _ last: Int
    ) {
        let held = heldAtMost(first, last, isMaintained: true)
        #expect(held <= 1.35, "\(held) times the bytes of the entries")
        // Or it would be no such day.
        let without = heldAtMost(first, last, isMaintained: false)
        #expect(without > 1.5, "\(without) times the bytes of the entries")
    }

    /// Lets values grow or shrink for a day, in which an eighth of the keys is written anew in each hour.
    ///
    /// - Returns: How many times the bytes of the entries the arena had in use at most.
    private func heldAtMost(_ first: Int, _ last: Int, isMaintained: Bool) -> Double {
        var random = SeededGenerator(seed: 7)
        let bench = StoreBench(shards: 4)
        let count = 30_000
        let hours = 24
        var worst = 0.0
        for hour in 0...hours {
            let typical = first + (last - first) * hour / hours
            for number in 0..<count where hour == 0 || Int.random(in: 0..<8, using: &random) == 0 {
                let length = Int.random(in: typical * 9 / 10...typical * 11 / 10, using: &random)
                bench.put(key(number), [UInt8](repeating: UInt8(number & 255), count: length))
                if number % 64 == 0 { bench.drain() }
            }
            bench.drain()
            bench.now += 3_600_000
            if isMaintained { bench.settle() }
            let usage = bench.store.usage(of: bench.default)
            worst = max(worst, Double(bench.store.statistics().arenaBytes) / Double(usage.bytes + usage.keys * 26))
        }
        for number in 0..<count { #expect(bench.read(key(number))?.value.first == UInt8(number & 255)) }
        bench.store.checkInvariantsAtRest()
        return worst
    }

    /// What do caches of values of many sizes take? Run with LARDER_MEASURE set.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil),
        arguments: [(11, 8...8), (157, 20...8_000), (805, 20...8_000)])
    func `measures caches of many sizes`(megabytes: Int, lengths: ClosedRange<Int>) {
        var random = SeededGenerator(seed: 7)
        let bench = StoreBench(shards: 256, durability: .off, eviction: .s3fifo, bytesMax: megabytes * 1_000_000)
        var written = 0
        var number = 0
        while written < 3 * megabytes * 1_000_000 {
            let length = Int.random(in: lengths, using: &random)
            bench.put(key(number), [UInt8](repeating: 1, count: length))
            written += length + 40
            number += 1
            if number % 4_096 == 0 {
                bench.now += 100
                _ = bench.store.maintain(now: bench.now, budget: 4_096)
            }
        }
        let before = bench.store.statistics().arenaBytes
        bench.now += 60_000
        bench.settle()
        print("\(megabytes) MB of \(lengths): \(before / 1_000_000) MB, at rest \(bench.store.statistics().arenaBytes / 1_000_000) MB")
    }

    @Test func `an entry that was moved is what it was, to everybody`() {
        let bench = StoreBench(shards: 1, durability: .off, eviction: .s3fifo, bytesMax: 1 << 30)
        let count = 20_000
        for number in 0..<count {
            bench.put(
                key(number), Array("value \(number)".utf8) + [UInt8](repeating: 1, count: 300),
                number % 2 == 0 ? .milliseconds(1_000_000 + Int64(number)) : .unlimited, metadata: [1, 2, 0, 65, 66])
        }
        var work = Int.max
        #expect(bench.store.prepareListing(bench.default, now: bench.now, work: &work) == .ready)
        let kept = Array(stride(from: 0, to: count, by: 13))
        for number in kept.prefix(300) { _ = bench.read(key(number)) }
        let before = kept.map { bench.read(key($0)) }
        for number in 0..<count where number % 13 != 0 { bench.remove(key(number)) }
        let held = bench.store.statistics().slabBytes
        bench.settle()
        let after = bench.store.statistics()
        #expect(after.slabBytes < held / 4, "\(held) before, \(after.slabBytes) after")
        bench.store.checkInvariantsAtRest()
        for (index, number) in kept.enumerated() { #expect(bench.read(key(number)) == before[index]) }
        var listed = 0
        _ = bench.store.list(bench.default, limit: count, now: bench.now) { _ in listed += 1 }
        #expect(listed == kept.count)
        // The wheel knows of them.
        bench.now += 2_000_000
        bench.settle()
        #expect(bench.store.statistics().entries == kept.filter { $0 % 2 == 1 }.count)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `one call moves no more than its budget, and a store at rest is left alone`() {
        let bench = StoreBench(shards: 1, durability: .off)
        for number in 0..<20_000 { bench.put(key(number), [UInt8](repeating: 1, count: 300)) }
        for number in 0..<20_000 where number % 10 != 0 { bench.remove(key(number)) }
        let held = bench.store.statistics().slabBytes
        #expect(bench.store.maintain(now: bench.now, budget: 200).hasMore)
        #expect(bench.store.statistics().slabBytes > held - (128 << 10))
        #expect(bench.settle(budget: 200) > 20)
        #expect(!bench.store.maintain(now: bench.now, budget: 200).hasMore)
        bench.store.checkInvariantsAtRest()
    }

    @Test(arguments: Seeds.smoke) func `agrees with a dictionary while entries are moved`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bench = StoreBench(shards: 2, seed: seed, durability: .off, eviction: seed % 2 == 0 ? .s3fifo : .none, bytesMax: 1 << 30)
        var model: [Int: [UInt8]] = [:]
        for round in 0..<40 {
            let length = [40, 400, 3_000, 9_000, 700][round % 5]
            for _ in 0..<500 {
                let number = Int.random(in: 0..<3_000, using: &random)
                if Int.random(in: 0..<3, using: &random) == 0 {
                    bench.remove(key(number))
                    model[number] = nil
                } else {
                    let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number + round), count: Int.random(in: 1...length, using: &random))
                    bench.put(key(number), value, Bool.random(using: &random) ? .unlimited : .milliseconds(1_000_000_000))
                    model[number] = value
                }
                if Int.random(in: 0..<20, using: &random) == 0 {
                    _ = bench.store.maintain(now: bench.now, budget: Int.random(in: 1..<300, using: &random))
                }
            }
            if round == 20 { _ = bench.store.list(bench.default, limit: 1, now: bench.now) { _ in } }
            bench.now += 11_000
            if round % 4 == 0 { bench.settle() }
            bench.store.checkInvariantsAtRest()
            for (number, value) in model { #expect(bench.read(key(number))?.value == value, "seed \(seed)") }
        }
    }
}
