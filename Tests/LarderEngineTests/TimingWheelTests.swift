import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// A wheel, the memory under it, and what the wheel ought to know.
private struct Bench: ~Copyable {
    let arena = PageArena(bytesMax: 64 << 20)!
    var slab: Slab
    var wheel = TimingWheel()
    /// Deadlines by reference, of the entries that live.
    var model: [Reference: Milliseconds] = [:]

    init() { slab = Slab(arena: arena, shard: 0) }

    func entry(_ reference: Reference) -> Entry { Entry(slab.address(reference)) }

    /// What an entry of a key so long takes.
    func bytes(_ keyBytes: Int) -> Int {
        EntryShape(keyBytes: keyBytes, valueBytes: 0, metadataBytes: 0, hasDeadline: true).byteCount
    }

    @discardableResult
    mutating func insert(_ deadline: Milliseconds, keyBytes: Int = 8) -> Reference {
        let key = [UInt8](repeating: 7, count: keyBytes)
        precondition(wheel.prepare(&slab))
        let reference = slab.allocate(bytes(keyBytes))!
        entry(reference).write(
            lsn: LSN(rawValue: 1), namespaceSlot: 0, deadline: Deadline(rawValue: deadline), hasDeadline: true,
            metadata: RawSpan(), key: key.span.bytes, value: RawSpan())
        wheel.arm(reference, &slab)
        model[reference] = deadline
        return reference
    }

    mutating func remove(_ reference: Reference) {
        wheel.disarm(entry(reference))
        slab.free(reference, entry(reference).byteCount)
        model[reference] = nil
    }

    mutating func setDeadline(_ reference: Reference, _ deadline: Milliseconds) {
        precondition(wheel.prepare(&slab))
        entry(reference).deadline = Deadline(rawValue: deadline)
        wheel.arm(reference, &slab)
        model[reference] = deadline
    }

    /// Advances until nothing more comes up, removing what does. Returns the deadlines that came up, in that order.
    @discardableResult
    mutating func advance(to now: Milliseconds, budget: Int = .max) -> [Milliseconds] {
        var fired: [Milliseconds] = []
        var budget = budget
        while true {
            let batch = wheel.advance(to: now, budget: &budget, &slab)
            if batch.count == 0 { return fired }
            for index in 0..<batch.count {
                let deadline = model[batch[index]]
                precondition(deadline != nil, "something came up that does not live")
                precondition(deadline! <= now, "something came up early")
                fired.append(deadline!)
                remove(batch[index])
            }
        }
    }

    /// Deadlines in the model whose tick has begun at `now`.
    func overdue(_ now: Milliseconds) -> Int { model.values.count { ($0 + 9) / 10 <= now / 10 } }

    mutating func weedAll() {
        var budget = Int.max
        while wheel.weed(budget: &budget, &slab) {}
    }

    func check() { wheel.checkInvariants(slab) }
}

@Suite("Timing wheel") struct TimingWheelTests {
    private let start: Milliseconds = 1_800_000_000_000

    @Test func `a deadline equal to now is due`() {
        var bench = Bench()
        bench.advance(to: start)
        bench.insert(start + 50)
        let before = bench.advance(to: start + 40)
        #expect(before == [])
        let at = bench.advance(to: start + 50)
        #expect(at == [start + 50])
    }

    @Test func `a deadline that has passed comes up at the next tick`() {
        var bench = Bench()
        bench.advance(to: start)
        bench.insert(start - 5_000)
        bench.insert(1)
        let fired = bench.advance(to: start + 10)
        #expect(fired.count == 2)
    }

    @Test(arguments: [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 16_777_215, 16_777_216, 4_294_967_295, 4_294_967_296])
    func `an entry is not due early and not late, across every level`(_ ticks: Int64) {
        for offset: Int64 in [0, 1, 255, 256 * 10 - 1, 65_536 * 10 - 10] {
            var bench = Bench()
            let now = start + offset
            bench.advance(to: now)
            let deadline = now + ticks * 10 + 3
            bench.insert(deadline)
            // By way of some hundred stops, so that it is filed again on the way.
            let step = max(ticks * 10 / 97, 1)
            var time = now
            while time + step < deadline {
                time += step
                let fired = bench.advance(to: time)
                #expect(fired == [])
                bench.check()
            }
            let last = (deadline + 9) / 10 * 10
            #expect(bench.wheel.nextDue.map { $0 <= last } == true)
            let early = bench.advance(to: deadline - 1)
            #expect(early == [])
            let fired = bench.advance(to: last)
            #expect(fired == [deadline])
            bench.check()
        }
    }

    @Test func `the latest deadline of all waits its turn`() {
        var bench = Bench()
        bench.advance(to: start)
        bench.insert(Deadline.latest.rawValue)
        var time = start
        while time < start + 40 * 365 * 86_400_000 {
            time += 30 * 86_400_000
            let fired = bench.advance(to: time)
            #expect(fired == [])
        }
        #expect(bench.wheel.recordCount == 1)
        let fired = bench.advance(to: Deadline.latest.rawValue + 10)
        #expect(fired.count == 1)
    }

    @Test func `an entry that was armed before the first look at the clock comes up`() {
        var bench = Bench()
        bench.insert(start + 500)
        bench.insert(start - 500)
        let first = bench.advance(to: start)
        #expect(first == [start - 500])
        let second = bench.advance(to: start + 500)
        #expect(second == [start + 500])
    }

    @Test func `a later deadline costs no record, an earlier one costs one`() {
        var bench = Bench()
        bench.advance(to: start)
        let reference = bench.insert(start + 10_000)
        bench.setDeadline(reference, start + 20_000)
        #expect(bench.wheel.recordCount == 1)
        bench.setDeadline(reference, start + 100)
        #expect(bench.wheel.recordCount == 2)
        #expect(bench.wheel.armedCount == 1)
        let fired = bench.advance(to: start + 30_000)
        #expect(fired == [start + 100])
        #expect(bench.wheel.recordCount == 0)
        bench.check()
    }

    @Test func `an entry that is overwritten where it lies keeps its record`() {
        var bench = Bench()
        bench.advance(to: start)
        let reference = bench.insert(start + 10_000)
        let key: [UInt8] = Array(repeating: 1, count: 8)
        let former = bench.entry(reference).wheelPosition
        bench.entry(reference).write(
            lsn: LSN(rawValue: 2), namespaceSlot: 0, deadline: Deadline(rawValue: start + 20_000), hasDeadline: true,
            metadata: RawSpan(), key: key.span.bytes, value: RawSpan())
        bench.wheel.rearm(reference, former: former, &bench.slab)
        bench.model[reference] = start + 20_000
        #expect(bench.wheel.recordCount == 1)
        bench.check()

        let again = bench.entry(reference).wheelPosition
        bench.entry(reference).write(
            lsn: LSN(rawValue: 3), namespaceSlot: 0, deadline: .never, hasDeadline: false,
            metadata: RawSpan(), key: key.span.bytes, value: RawSpan())
        bench.wheel.rearm(reference, former: again, &bench.slab)
        #expect(bench.wheel.armedCount == 0)
        bench.model[reference] = nil
        let fired = bench.advance(to: start + 40_000)
        #expect(fired == [])
        bench.check()
    }

    @Test func `what exceeds the budget waits for the next call`() {
        var bench = Bench()
        bench.advance(to: start)
        for _ in 0..<1_000 { bench.insert(start + 1_000) }
        var fired = 0
        var calls = 0
        while bench.wheel.hasWork(at: start + 5_000) {
            let count = bench.advance(to: start + 5_000, budget: 100).count
            #expect(count <= 100 + WheelChunk.capacity)
            fired += count
            calls += 1
            bench.check()
        }
        #expect(fired == 1_000)
        #expect(calls >= 9)
    }

    @Test func `a clock that goes back a year makes nothing late`() {
        var bench = Bench()
        let ahead = start + 365 * 86_400_000
        bench.advance(to: ahead)
        bench.insert(ahead + 60_000)
        bench.insert(ahead + 86_400_000)
        let none = bench.advance(to: start)
        #expect(none == [])
        bench.insert(start + 1_000)
        let soon = bench.advance(to: start + 1_000)
        #expect(soon == [start + 1_000])
        let later = bench.advance(to: ahead + 60_000)
        #expect(later == [ahead + 60_000])
        let last = bench.advance(to: ahead + 86_400_000)
        #expect(last == [ahead + 86_400_000])
    }

    @Test func `a clock that goes ahead ten years brings all up`() {
        var bench = Bench()
        bench.advance(to: start)
        for day in 1...3_000 { bench.insert(start + Int64(day) * 86_400_000) }
        let fired = bench.advance(to: start + 3_650 * 86_400_000)
        #expect(fired.count == 3_000)
        #expect(bench.wheel.recordCount == 0)
    }

    @Test func `stale records are weeded when they are the majority`() {
        var bench = Bench()
        bench.advance(to: start)
        for _ in 0..<5_000 { bench.remove(bench.insert(start + 3_600_000)) }
        bench.insert(start + 3_600_000)
        #expect(bench.wheel.recordCount == 5_001)
        while true {
            var budget = 200
            if !bench.wheel.weed(budget: &budget, &bench.slab) { break }
            bench.check()
        }
        #expect(bench.wheel.recordCount == 1)
        let fired = bench.advance(to: start + 3_600_000)
        #expect(fired.count == 1)
    }

    @Test func `an entry that moves to and fro leaves no records that look good for ever`() {
        var bench = Bench()
        bench.advance(to: start)
        var reference = bench.insert(start + 3_600_000, keyBytes: 8)
        for round in 0..<20_000 {
            // Another size class each time, so the references alternate and every old record matches again.
            bench.remove(reference)
            reference = bench.insert(start + 3_600_000, keyBytes: round % 2 == 0 ? 64 : 8)
            bench.weedAll()
        }
        #expect(bench.wheel.recordCount < 1_000)
        bench.check()
    }

    @Test(arguments: Seeds.smoke) func `agrees with a sorted list`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bench = Bench()
        var now = start
        bench.advance(to: now)
        var references: [Reference] = []
        for round in 0..<4_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let reach: Int64 = [20, 3_000, 700_000, 180_000_000, 60_000_000_000].randomElement(using: &random)!
                references.append(
                    bench.insert(now + Int64.random(in: -100...reach, using: &random), keyBytes: Int.random(in: 1...40, using: &random)))
            case 5:
                if let reference = references.randomElement(using: &random), bench.model[reference] != nil {
                    bench.remove(reference)
                }
            case 6:
                if let reference = references.randomElement(using: &random), let old = bench.model[reference] {
                    bench.setDeadline(reference, max(1, old + Int64.random(in: -5_000...5_000, using: &random)))
                }
            case 7:
                var budget = Int.random(in: 1...300, using: &random)
                _ = bench.wheel.weed(budget: &budget, &bench.slab)
            default:
                let step: Int64 = [1, 9, 300, 10_000, 1_000_000, 90_000_000].randomElement(using: &random)!
                now += Int64.random(in: 0...step, using: &random)
                if Int.random(in: 0..<200, using: &random) == 0 { now -= 500_000_000 }
                if Bool.random(using: &random) {
                    bench.advance(to: now, budget: Int.random(in: 1...200, using: &random))
                } else {
                    // What was due when it was armed comes up a tick later.
                    now += 10
                    bench.advance(to: now)
                    let overdue = bench.overdue(now)
                    #expect(overdue == 0, "seed \(seed), round \(round)")
                }
            }
            if round % 50 == 0 { bench.check() }
        }
        bench.advance(to: now + 100_000_000_000)
        bench.advance(to: now + 200_000_000_000)
        let left = bench.model.count
        #expect(left == 0, "seed \(seed)")
        bench.wheel.removeAll(&bench.slab)
        let inUse = bench.slab.bytesInUse
        #expect(inUse == 0, "seed \(seed)")
    }
}
