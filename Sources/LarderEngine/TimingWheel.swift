// When each entry is due, and nothing else.
//
// Holds references, never entries, and asks no clock: the caller says what time it is. Whether an entry is gone is decided
// by its deadline, never here; the wheel only says which memory can be taken back.
//
// Four levels of 256 slots and ticks of 10 ms; a slot of one level spans the whole level below it. A slot is a chain of chunks
// of references. Nothing is taken out when an entry goes or gets a later deadline: its record is recognised when it comes
// up, because no entry lies there any more, or one whose own note of its record names another place. Such
// stale records are counted, and weeded out when they are the majority.
// Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7.

import CLarderIntrinsics
import LarderPlatform

/// The entries of one shard by deadline. Every call is made under the shard's lock.
struct TimingWheel: ~Copyable {
    static let tickMilliseconds: Milliseconds = 10
    static let levels = 4
    private static let slotBits: Int64 = 8
    static let slotsPerLevel = 256
    /// How far the levels reach together: 497 days. What is due later waits in the last level, and is filed again.
    private static let rangeTicks: Int64 = 1 << 32
    /// A clock that is behind by less than this is not followed back.
    private static let rewindTicksMin: Int64 = 100
    /// With so many stale records more than good ones it is time to weed.
    private static let staleMargin = 512

    private var slots = WheelSlots()
    /// All ticks up to this one are done.
    private var current: Int64 = 0
    /// The chain that was taken out of a slot and is being worked off.
    private var working: Working?
    /// A chunk in reserve, so that arming never lacks memory.
    private var spare: Reference = 0
    /// The next slot to weed, in the order of `Position.index`; nil when nothing is being weeded.
    private var weeding: Int?
    private var generation: UInt8 = 0

    /// How many records there are, stale ones included.
    private(set) var recordCount = 0
    /// How many entries have a record.
    private(set) var armedCount = 0

    private struct Working {
        var chain: Reference
        var position: Position
        /// Whether the good records go back to where they were.
        var isWeeding: Bool
    }

    /// Where a record is, and since which weeding: what an entry notes of its record, 16 bits.
    struct Position: Equatable {
        var level: Int
        var slot: Int
        /// Of 64. A good record moves to the new generation when its slot is weeded, which tells it from its duplicates.
        var generation: UInt8

        var bits: UInt16 { UInt16(level << 14 | slot << 6) | UInt16(generation & 63) }
        var index: Int { level << 8 | slot }
    }

    init() {}

    /// Gives all chunks back. The wheel is empty afterwards.
    mutating func removeAll(_ slab: inout Slab) {
        for index in 0..<(Self.levels * Self.slotsPerLevel) { slots.freeChain(slots.detach(index), &slab) }
        if let working { slots.freeChain(working.chain, &slab) }
        if spare != 0 { slab.freeChunk(spare) }
        (working, spare, weeding) = (nil, 0, nil)
        (recordCount, armedCount) = (0, 0)
    }

    // MARK: Arming

    /// Makes sure that the next `arm` has memory.
    ///
    /// - Returns: false when there is none.
    mutating func prepare(_ slab: inout Slab) -> Bool {
        if spare == 0 { spare = slab.allocateChunk() ?? 0 }
        return spare != 0
    }

    /// Notes when the entry at `reference` is due. Does nothing when it has no deadline, or a record that comes up in time.
    ///
    /// To be called after `prepare` has said yes, whenever an entry was written or given an earlier deadline; for a later one
    /// there is no need.
    mutating func arm(_ reference: Reference, _ slab: inout Slab) {
        let entry = unsafe Entry(slab.address(reference))
        let deadline = entry.deadline
        guard !deadline.isNever else { return }
        let due = Self.dueTick(deadline)
        if let bits = entry.wheelPosition {
            let index = Int(bits >> 6)
            if eventTick(level: index >> 8, slot: index & 255) <= due { return }
        } else {
            armedCount &+= 1
        }
        let filed = file(reference, due: due, &slab)
        precondition(filed, "armed without a chunk in reserve")
    }

    /// The same for an entry that was overwritten where it lies, and with it the note of its record.
    ///
    /// - Parameter former: What the note was.
    mutating func rearm(_ reference: Reference, former: UInt16?, _ slab: inout Slab) {
        let entry = unsafe Entry(slab.address(reference))
        if let former {
            if entry.hasDeadline { entry.wheelPosition = former } else { armedCount &-= 1 }
        }
        arm(reference, &slab)
    }

    /// Forgets an entry that is about to be freed, or to lose its deadline.
    mutating func disarm(_ entry: Entry) {
        guard entry.wheelPosition != nil else { return }
        entry.wheelPosition = nil
        armedCount &-= 1
    }

    // MARK: Advancing

    /// References that came up at once: at most one chunk's worth.
    struct Batch {
        private var references = InlineArray<14, Reference>(repeating: 0)
        private(set) var count = 0

        subscript(index: Int) -> Reference { references[index] }

        fileprivate mutating func append(_ reference: Reference) {
            references[count] = reference
            count &+= 1
        }
    }

    /// Moves on towards `now` and returns some entries whose deadline has come. They are disarmed; the caller removes them
    /// before it lets go of the shard's lock.
    ///
    /// - Parameter budget: How many records may be looked at; less what was, on return. What is left over waits for the next call.
    /// - Returns: An empty batch when `now` is reached or the budget is used up.
    /// - Complexity: O(budget), plus 1,024 slots at most.
    mutating func advance(to now: Milliseconds, budget: inout Int, _ slab: inout Slab) -> Batch {
        var batch = Batch()
        let target = now / Self.tickMilliseconds
        prepareClock(target)
        while budget > 0, batch.count == 0 {
            if working == nil, !takeNextSlot(until: target) { return batch }
            if !workOff(now, &budget, &batch, &slab) { return batch }
        }
        return batch
    }

    /// Whether a call of `advance` or `weed` has something to do at `now`.
    func hasWork(at now: Milliseconds) -> Bool {
        if working != nil || weeding != nil || isOvergrown { return true }
        guard let next = nextTick else { return false }
        return next <= now / Self.tickMilliseconds
    }

    /// When the next record comes up, or nil when there is none. It need not be due then.
    var nextDue: Milliseconds? {
        if working != nil { return current &* Self.tickMilliseconds }
        return nextTick.map { $0 &* Self.tickMilliseconds }
    }

    /// Follows a clock that was set.
    private mutating func prepareClock(_ target: Int64) {
        if recordCount == 0 {
            current = target
        } else if target < current - Self.rewindTicksMin {
            // Nothing can come up late: the first time that a slot comes up after an earlier tick is no later than before.
            // It may come up early, which costs a look.
            current = target
        } else if target - current > Self.rangeTicks {
            // Within the range every slot comes up once.
            current = target - Self.rangeTicks
        }
    }

    private static func dueTick(_ deadline: Deadline) -> Int64 {
        // Rounded up: the tick's beginning must not be before the deadline. Cannot overflow: 47 bits.
        (deadline.rawValue + tickMilliseconds - 1) / tickMilliseconds
    }

    /// The next tick after `current` at which this slot comes up.
    private func eventTick(level: Int, slot: Int) -> Int64 {
        let shift = Int64(level) * Self.slotBits
        let now = current >> shift
        let distance = (Int64(slot) - now) & 255
        return (now + (distance == 0 ? 256 : distance)) << shift
    }

    private var nextTick: Int64? {
        var next: Int64?
        for level in 0..<Self.levels {
            guard let tick = nextTick(level) else { continue }
            next = min(next ?? .max, tick)
        }
        return next
    }

    private func nextTick(_ level: Int) -> Int64? {
        let start = Int(truncatingIfNeeded: (current >> (Int64(level) * Self.slotBits)) + 1) & 255
        return slots.firstUsed(level, from: start).map { eventTick(level: level, slot: $0) }
    }

    /// Takes the next slot that comes up until `target` out of the wheel; of several at the same tick the highest level's,
    /// since its records may belong to the others.
    private mutating func takeNextSlot(until target: Int64) -> Bool {
        guard let next = nextTick, next <= target else {
            current = max(current, target)
            return false
        }
        current = next - 1
        for level in (0..<Self.levels).reversed() where nextTick(level) == next {
            let slot = Int(truncatingIfNeeded: next >> (Int64(level) * Self.slotBits)) & 255
            let position = Position(level: level, slot: slot, generation: 0)
            working = Working(chain: slots.detach(position.index), position: position, isWeeding: false)
            return true
        }
        preconditionFailure("a slot comes up and cannot be found")
    }

    /// Looks at the records of the working chain, a chunk at a time.
    ///
    /// - Returns: false when memory is lacking; the rest waits.
    private mutating func workOff(
        _ now: Milliseconds, _ budget: inout Int, _ batch: inout Batch, _ slab: inout Slab
    ) -> Bool {
        while budget > 0, batch.count == 0, var job = working {
            if job.chain == 0 {
                working = nil
                return true
            }
            let chunk = unsafe WheelChunk(slab.address(job.chain))
            prefetch(chunk, slab)
            while chunk.count > 0 {
                let reference = chunk.last
                job.position.generation = chunk.generation
                if isGood(reference, job.position, slab) {
                    guard keep(reference, job, now, &batch, &slab) else { return false }
                }
                chunk.removeLast()
                recordCount &-= 1
                budget &-= 1
            }
            let next = chunk.next
            slab.freeChunk(job.chain)
            job.chain = next
            working = job
        }
        return true
    }

    /// Whether the record stands for an entry: one lies there, and this is the record it knows of.
    private func isGood(_ reference: Reference, _ position: Position, _ slab: borrowing Slab) -> Bool {
        guard slab.isLiveEntry(reference) else { return false }
        return unsafe Entry(slab.address(reference)).wheelPosition == position.bits
    }

    /// Puts a good record where it belongs: into the batch, or into the wheel again.
    ///
    /// - Returns: false when there is no memory for that; nothing has changed then.
    private mutating func keep(
        _ reference: Reference, _ job: Working, _ now: Milliseconds, _ batch: inout Batch, _ slab: inout Slab
    ) -> Bool {
        let entry = unsafe Entry(slab.address(reference))
        if job.isWeeding {
            return append(reference, Position(level: job.position.level, slot: job.position.slot, generation: generation), &slab)
        }
        if entry.deadline.isDue(now) {
            disarm(entry)
            batch.append(reference)
            return true
        }
        // An entry whose deadline was taken away and is still armed needs no record.
        if entry.deadline.isNever {
            disarm(entry)
            return true
        }
        return file(reference, due: Self.dueTick(entry.deadline), &slab)
    }

    private func prefetch(_ chunk: WheelChunk, _ slab: borrowing Slab) {
        unsafe larder_prefetch(slab.address(chunk.next))
        for index in 0..<chunk.count { unsafe larder_prefetch(slab.address(chunk[index])) }
    }

    // MARK: Filing

    private mutating func file(_ reference: Reference, due: Int64, _ slab: inout Slab) -> Bool {
        let due = max(due, current + 1)
        for level in 0..<Self.levels {
            let shift = Int64(level) * Self.slotBits
            // A slot that came up already is at a distance of 256: it is empty until then.
            if (due >> shift) - (current >> shift) <= 256 {
                let slot = Int(truncatingIfNeeded: due >> shift) & 255
                return append(reference, Position(level: level, slot: slot, generation: generation), &slab)
            }
        }
        let last = Int64(Self.levels - 1) * Self.slotBits
        let slot = Int(truncatingIfNeeded: current >> last) & 255
        return append(reference, Position(level: Self.levels - 1, slot: slot, generation: generation), &slab)
    }

    /// Adds a record to a slot and notes it in the entry.
    private mutating func append(_ reference: Reference, _ position: Position, _ slab: inout Slab) -> Bool {
        let head = slots[position.index]
        var chunk = unsafe WheelChunk(slab.address(head))
        if head == 0 || chunk.isFull || chunk.generation != position.generation {
            guard prepare(&slab) else { return false }
            chunk = unsafe WheelChunk(slab.address(spare))
            chunk.initialize(next: head, generation: position.generation)
            slots.setHead(position.index, spare)
            spare = 0
        }
        chunk.append(reference)
        recordCount &+= 1
        unsafe Entry(slab.address(reference)).wheelPosition = position.bits
        return true
    }

    // MARK: Weeding

    private var isOvergrown: Bool { recordCount &- armedCount > armedCount &+ Self.staleMargin }

    /// Drops stale records, slot by slot, once they are the majority.
    ///
    /// - Parameter budget: How many records may be looked at; less what was, on return.
    /// - Returns: Whether there is more to do.
    mutating func weed(budget: inout Int, _ slab: inout Slab) -> Bool {
        // What has come up goes first; it may not wait for the weeds.
        if let working, !working.isWeeding { return weeding != nil || isOvergrown }
        if weeding == nil {
            guard isOvergrown else { return false }
            generation = (generation &+ 1) & 63
            weeding = 0
        }
        var ignored = Batch()
        while budget > 0, let index = weeding {
            if working == nil {
                guard index < Self.levels * Self.slotsPerLevel else {
                    weeding = nil
                    return isOvergrown
                }
                let position = Position(level: index >> 8, slot: index & 255, generation: 0)
                working = Working(chain: slots.detach(index), position: position, isWeeding: true)
                weeding = index + 1
                budget &-= 1
            }
            if !workOff(0, &budget, &ignored, &slab) { return true }
        }
        return weeding != nil
    }

    // MARK: Invariants

    /// Asserts that the counts are right and that every entry's record is where the entry says. O(records).
    func checkInvariants(_ slab: borrowing Slab) {
        var found = 0
        var good = Set<Reference>()
        for index in 0..<(Self.levels * Self.slotsPerLevel) {
            precondition((slots[index] != 0) == slots.isUsed(index), "the map of used slots is wrong")
            var position = Position(level: index >> 8, slot: index & 255, generation: 0)
            found += check(slots[index], &position, &good, slab)
        }
        if var job = working { found += check(job.chain, &job.position, &good, slab) }
        precondition(found == recordCount, "records are miscounted")
        precondition(good.count == armedCount, "armed entries are miscounted")
    }

    private func check(
        _ chain: Reference, _ position: inout Position, _ good: inout Set<Reference>, _ slab: borrowing Slab
    ) -> Int {
        var found = 0
        var head = chain
        while head != 0 {
            let chunk = unsafe WheelChunk(slab.address(head))
            position.generation = chunk.generation
            for index in 0..<chunk.count where isGood(chunk[index], position, slab) { good.insert(chunk[index]) }
            found += chunk.count
            head = chunk.next
        }
        return found
    }
}
