import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

@Suite("Store") struct StoreTests {
    @Test(arguments: [0, 1, 100, 16_368, 16_400, 1 << 20]) func `keeps a value of any size`(_ count: Int) {
        let bench = StoreBench()
        let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(bench.put([1], value).outcome == .created)
        #expect(bench.read([1])?.value == value)
        bench.drain()
        #expect(bench.put([1], value).outcome == .updated)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `refuses a value beyond the limit`() {
        let bench = StoreBench(valueBytesMax: 10)
        #expect(bench.put([1], [UInt8](repeating: 1, count: 11)).outcome == .valueTooLarge)
        #expect(bench.append([1], [UInt8](repeating: 1, count: 10)).outcome == .created)
        #expect(bench.append([1], [1]).outcome == .valueTooLarge)
        #expect(bench.read([1])?.value.count == 10)
    }

    @Test(arguments: [1, 8, 255, 256, 1_024]) func `keeps a key of any length`(_ count: Int) {
        let bench = StoreBench()
        let key = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        var longer = key
        longer[count - 1] ^= 1
        bench.put(key, [1])
        #expect(bench.read(key)?.value == [1])
        #expect(bench.read(longer) == nil)
    }

    @Test func `keeps metadata, and finds the content type in it`() {
        let bench = StoreBench()
        var metadata = ByteBuffer()
        let json = Array("application/json".utf8)
        Metadata.append(clientFlags: 0x0403_0201, to: &metadata)
        Metadata.append(Metadata.contentType, json.span.bytes, to: &metadata)
        bench.put([1], [2], metadata: Array(metadata.bytes))
        #expect(bench.read([1])?.metadata == Array(metadata.bytes))
        var contentType: [UInt8] = []
        let key: [UInt8] = [1]
        _ = bench.store.read(bench.default, key: key.span.bytes, hash: bench.hash(key), now: bench.now) { entry in
            contentType = Array(entry.contentType)
            #expect(Metadata.clientFlags(in: entry.metadata) == 0x0403_0201)
        }
        #expect(contentType == json)
        #expect(Metadata.clientFlags(in: RawSpan()) == 0)
        // Counting and appending keep it; storing replaces it.
        bench.append([1], [3])
        #expect(bench.read([1])?.metadata == Array(metadata.bytes))
        bench.touch([1], .milliseconds(5))
        #expect(bench.read([1])?.metadata == Array(metadata.bytes))
        bench.put([1], [2])
        #expect(bench.read([1])?.metadata == [])
    }

    @Test func `is gone at its deadline and not before`() {
        let bench = StoreBench()
        bench.put([1], [1], .milliseconds(1_000))
        bench.now += 999
        #expect(bench.read([1]) != nil)
        bench.now += 1
        #expect(bench.read([1]) == nil)
        #expect(bench.remove([1]).outcome == .notFound)
        #expect(bench.put([1], [2], .unlimited, .present).outcome == .conditionFailed)
        #expect(bench.put([1], [2], .keep, .absent).outcome == .created)
        #expect(bench.read([1])?.deadline == .never)
    }

    @Test func `is gone at a time of day that was named`() {
        let bench = StoreBench()
        bench.put([1], [1], .until(bench.now + 1))
        #expect(bench.read([1])?.deadline == Deadline(rawValue: bench.now + 1))
        bench.touch([1], .until(bench.now + 2))
        bench.now += 1
        #expect(bench.read([1]) != nil)
        bench.now += 1
        #expect(bench.read([1]) == nil)
        bench.put([1], [1])
        #expect(bench.put([1], [2], .until(bench.now)).outcome == .removed)
        #expect(bench.put([1], [2], .until(.min)).outcome == .notFound)
        bench.put([1], [1], .until(.max))
        #expect(bench.read([1])?.deadline == .latest)
    }

    @Test func `a write whose deadline has passed removes`() {
        let bench = StoreBench()
        bench.put([1], [1])
        #expect(bench.put([1], [2], .milliseconds(0)).outcome == .removed)
        #expect(bench.read([1]) == nil)
        #expect(bench.put([1], [2], .milliseconds(-5)).outcome == .notFound)
        bench.put([1], [1])
        #expect(bench.touch([1], .milliseconds(0)).outcome == .removed)
        #expect(bench.read([1]) == nil)
    }

    @Test func `a lifetime beyond what an entry holds is the longest there is`() {
        let bench = StoreBench()
        #expect(bench.put([1], [1], .milliseconds(.max)).deadline == .latest)
        bench.put([2], [1], .milliseconds(9_223_372_036_000))
        #expect(bench.read([2])?.deadline.rawValue == bench.now + 9_223_372_036_000)
        bench.settle()
        #expect(bench.read([1]) != nil)
    }

    @Test func `a version is an LSN, and guards a write`() {
        let bench = StoreBench()
        let first = bench.put([1], [1])
        #expect(first.version == first.lsn.rawValue)
        let failed = bench.put([1], [2], .unlimited, .version(first.version + 1))
        #expect(failed.outcome == .conditionFailed)
        #expect(failed.version == first.version)
        #expect(failed.lsn == first.lsn)
        #expect(bench.put([1], [2], .unlimited, .notVersion(first.version)).outcome == .conditionFailed)
        let second = bench.put([1], [2], .unlimited, .version(first.version))
        #expect(second.outcome == .updated)
        #expect(second.lsn > first.lsn)
        #expect(bench.remove([1], .version(first.version)).outcome == .conditionFailed)
        #expect(bench.remove([1], .version(second.version)).outcome == .removed)
        #expect(bench.remove([1], .version(second.version)).outcome == .conditionFailed)
        #expect(bench.put([1], [2], .unlimited, .notVersion(second.version)).outcome == .created)
    }

    @Test func `a miss depends on the removal, the flush or the expired write behind it`() {
        let bench = StoreBench(shards: 1)
        #expect(bench.readResult([1]).result == ReadResult(hit: false, lsn: .zero))
        bench.put([1], [1])
        let removed = bench.remove([1])
        #expect(bench.readResult([1]).result == ReadResult(hit: false, lsn: removed.lsn))
        let short = bench.put([2], [1], .milliseconds(10))
        bench.now += 10
        #expect(bench.readResult([2]).result == ReadResult(hit: false, lsn: short.lsn))
        bench.settle()
        #expect(bench.store.statistics().entries == 0)
        #expect(bench.readResult([2]).result == ReadResult(hit: false, lsn: short.lsn))
        let flushed = bench.store.flushNamespace(bench.default, now: bench.now)
        #expect(bench.readResult([3]).result == ReadResult(hit: false, lsn: flushed.lsn))
    }

    @Test func `counts, and refuses what is no integer or leaves 64 bits`() {
        let bench = StoreBench()
        #expect(bench.increment([1], 5).integer == 5)
        #expect(bench.increment([1], -15).integer == -10)
        #expect(bench.read([1])?.value == Array("-10".utf8))
        #expect(bench.increment([1], .max).integer == .max - 10)
        #expect(bench.increment([1], 11).outcome == .integerOverflow)
        #expect(bench.read([1])?.value == Array("\(Int64.max - 10)".utf8))
        #expect(bench.increment([2], .min).integer == .min)
        #expect(bench.increment([2], -1).outcome == .integerOverflow)
        bench.put([3], Array("1x".utf8))
        #expect(bench.increment([3], 1).outcome == .notAnInteger)
        bench.put([4], [])
        #expect(bench.increment([4], 1).outcome == .notAnInteger)
    }

    @Test func `a counter that outgrows its memory answers with its deadline, not with what lies there now`() {
        let bench = StoreBench()
        let made = bench.increment([1], 1, .milliseconds(100_000))
        for delta in [9, 90, 900, 90_000, 9_000_000, 900_000_000, 9_000_000_000_000, -9_000_000_000_000_000] as [Int64] {
            let counted = bench.increment([1], delta)
            #expect(counted.outcome == .updated)
            #expect(counted.deadline == made.deadline)
        }
    }

    @Test func `a counter keeps its deadline, and a new one gets its own`() {
        let bench = StoreBench()
        let made = bench.increment([1], 1, .milliseconds(100))
        #expect(made.outcome == .created)
        bench.now += 50
        #expect(bench.increment([1], 1, .milliseconds(100)).deadline == made.deadline)
        bench.now += 50
        #expect(bench.increment([1], 1, .milliseconds(100)).integer == 1)
    }

    @Test func `a namespace sees its own keys only`() {
        let bench = StoreBench()
        let other = bench.makeNamespace("other")
        bench.put([1], [1])
        bench.put([1], [2], in: other)
        #expect(bench.read([1])?.value == [1])
        #expect(bench.read([1], in: other)?.value == [2])
        _ = bench.store.flushNamespace(other, now: bench.now)
        #expect(bench.read([1])?.value == [1])
        #expect(bench.read([1], in: other) == nil)
        #expect(bench.store.usage(of: other).keys == 0)
        bench.store.checkInvariants()
    }

    @Test func `a dropped namespace is gone, and its slot serves another that has none of its keys`() {
        let bench = StoreBench()
        let first = bench.makeNamespace("first")
        for number in 0..<2_000 { bench.put(key(number), [1], in: first) }
        #expect(bench.store.dropNamespace(first, now: bench.now).outcome == .removed)
        #expect(bench.read(key(1), in: first) == nil)
        #expect(bench.put(key(1), [1], in: first).outcome == .namespaceGone)
        bench.settle(budget: 100)
        #expect(bench.store.statistics().entries == 0)
        let second = bench.makeNamespace("second")
        #expect(second.slot == first.slot)
        #expect(bench.read(key(1), in: second) == nil)
        bench.put(key(1), [9], in: second)
        #expect(bench.read(key(1), in: first) == nil)
        #expect(bench.remove(key(1), in: first).outcome == .namespaceGone)
        #expect(bench.store.usage(of: second).keys == 1)
        bench.store.checkInvariantsAtRest()
    }

    @Test func `a namespace whose writes are not logged logs nothing and gives LSNs`() {
        let bench = StoreBench()
        let quiet = bench.makeNamespace("quiet", durability: .off)
        bench.drain()
        let first = bench.put([1], [1], in: quiet)
        let second = bench.put([1], [2], in: quiet)
        #expect(second.lsn > first.lsn)
        #expect(bench.log.isEmpty)
    }

    @Test func `a full log changes nothing`() {
        let bench = StoreBench(logBytesMax: 1_000)
        bench.put([1], [UInt8](repeating: 1, count: 1_000))
        let before = bench.read([1])
        #expect(bench.put([1], [2]).outcome == .backlog)
        #expect(bench.put([2], [2]).outcome == .backlog)
        #expect(bench.remove([1]).outcome == .backlog)
        #expect(bench.touch([1], .milliseconds(1)).outcome == .backlog)
        #expect(bench.append([1], [1]).outcome == .backlog)
        #expect(bench.increment([3], 1).outcome == .backlog)
        #expect(bench.read([1]) == before)
        bench.store.checkInvariantsAtRest()
        bench.drain()
        #expect(bench.put([1], [2]).outcome == .updated)
        bench.log.refuse()
        #expect(bench.put([1], [3]).outcome == .refused)
        #expect(bench.read([1])?.value == [2])
    }

    @Test func `without memory a write is refused, and nothing is lost`() {
        let bench = StoreBench(shards: 1, memory: 2 << 20)
        let value = [UInt8](repeating: 1, count: 5_000)
        var stored = 0
        while bench.put(key(stored), value).outcome == .created {
            stored += 1
            bench.drain()
        }
        #expect(stored > 200)
        #expect(bench.put(key(stored), value).outcome == .outOfMemory)
        #expect(bench.append(key(0), value).outcome == .outOfMemory)
        for number in 0..<stored { #expect(bench.read(key(number))?.value == value) }
        bench.store.checkInvariantsAtRest()
        for number in 0..<20 { #expect(bench.remove(key(number)).outcome == .removed) }
        #expect(bench.put(key(stored), value).outcome == .created)
    }

    @Test func `a value of 16 MiB is stored with all that belongs to it, and one byte more is refused`() {
        let bench = StoreBench(valueBytesMax: 1 << 24)
        let longest = [UInt8](repeating: 0x6B, count: 1_024)
        let value = (0..<(1 << 24)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let metadata: [UInt8] = [1, 2, 0, 0x61, 0x62]
        #expect(bench.put(longest, value, .milliseconds(1_000), metadata: metadata).outcome == .created)
        bench.drain()
        #expect(bench.put([1], value + [0]).outcome == .valueTooLarge)
        #expect(bench.append(longest, [0]).outcome == .valueTooLarge)
        let seen = bench.read(longest)
        #expect(seen?.value == value && seen?.metadata == metadata)
        #expect(seen?.deadline == Deadline(rawValue: bench.now + 1_000))

        // The longest length is told apart from none, and comes and goes byte by byte.
        #expect(bench.put([1], []).outcome == .created)
        #expect(bench.append([1], Array(value.dropLast())).outcome == .updated)
        bench.drain()
        #expect(bench.append([1], [value[value.count - 1]]).outcome == .updated)
        bench.drain()
        #expect(bench.read([1])?.value == value)
        #expect(bench.put([1], Array(value.dropLast())).outcome == .updated)
        bench.drain()
        #expect(bench.read([1])?.value.count == 1 << 24 - 1)
        #expect(bench.put([1], value).outcome == .updated)
        bench.drain()
        #expect(bench.read([1])?.value == value)
        bench.now += 1_000
        #expect(bench.read(longest) == nil)
        bench.store.checkInvariantsAtRest()
    }
}
