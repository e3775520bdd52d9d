import Glibc
@testable import LarderEngine
import Testing

@Suite("Page arena") struct PageArenaTests {
    @Test func `never hands out reference 0`() throws {
        let arena = try #require(PageArena(bytesMax: 16 << 20))
        let first = try #require(arena.allocate(1, owner: 1))
        #expect(first != 0)
        #expect(arena.owner(ofUnit: arena.unit(of: first)) == 1)
    }

    @Test(arguments: [1, 2, 4, 8, 16]) func `aligns a run to its size`(_ units: Int) throws {
        let arena = try #require(PageArena(bytesMax: 16 << 20))
        _ = arena.allocate(3, owner: 1)
        for _ in 0..<10 {
            let run = try #require(arena.allocate(units, aligned: true, owner: 1))
            #expect(arena.unit(of: run) % units == 0)
        }
        arena.checkInvariants()
    }

    @Test func `refuses when it is full, and serves again after a run came back`() throws {
        let arena = try #require(PageArena(bytesMax: 1 << 20))
        var runs: [Reference] = []
        while let run = arena.allocate(16, aligned: true, owner: 1) { runs.append(run) }
        #expect(runs.count == 15)
        let freed = runs.removeLast()
        arena.free(freed, units: 16)
        #expect(arena.owner(ofUnit: arena.unit(of: freed)) == 0)
        #expect(arena.allocate(16, aligned: true, owner: 2) == freed)
        arena.checkInvariants()
    }

    /// The first write to a fresh large page was made under a shard's lock, and took milliseconds.
    @Test func `memory that chores will be given is there before they lock anything`() throws {
        let arena = try #require(PageArena(bytesMax: 16 << 20, largePages: true))
        arena.populateAhead()
        for _ in 0..<64 {
            let unit = try #require(arena.allocate(1, owner: 1))
            #expect(isResident(arena.address(unit)))
        }
        arena.populateAhead()
        let next = try #require(arena.allocate(16, aligned: true, owner: 1))
        #expect(isResident(arena.address(next)))
    }

    /// Memory that had been given back was written to first under a shard's lock, which took milliseconds as well.
    @Test(arguments: [1, 300]) func `memory that was given back is backed again before chores lock anything`(_ units: Int) throws {
        let arena = try #require(PageArena(bytesMax: 256 << 20, largePages: true))
        let runs = (0..<(8_192 / units)).compactMap { _ in arena.allocate(units, owner: 1) }
        for run in runs { memset(arena.address(run), 1, units * 4_096) }
        for run in runs { arena.free(run, units: units) }
        while arena.trim(unitsMax: 1_024) {}
        let kept = arena.unitsUntrimmed
        #expect(kept > 0 && kept < 1_024)
        // What is kept comes first,
        while arena.unitsUntrimmed >= 64 {
            let unit = try #require(arena.allocate(1, owner: 1))
            #expect(isResident(arena.address(unit)))
        }
        // and then what the kernel was asked to back again.
        arena.populateAhead()
        #expect(arena.unitsUntrimmed >= 64)
        for _ in 0..<64 {
            let unit = try #require(arena.allocate(1, owner: 1))
            #expect(isResident(arena.address(unit)))
        }
        arena.checkInvariants()
    }

    @Test func `an arena that is nearly full keeps nothing from others for the kernel's sake`() throws {
        let arena = try #require(PageArena(bytesMax: 4 << 20, largePages: true))
        var runs: [Reference] = []
        while let run = arena.allocate(1, owner: 1) { runs.append(run) }
        for run in runs.dropFirst(100) { arena.free(run, units: 1) }
        while arena.trim(unitsMax: 1_024) {}
        let dirty = arena.unitsUntrimmed
        for _ in 0..<dirty { _ = arena.allocate(1, owner: 1) }
        arena.populateAhead()
        #expect(arena.unitsUntrimmed == 0)
    }

    private func isResident(_ address: UnsafeMutableRawPointer) -> Bool {
        var page: UInt8 = 0
        return mincore(address, 4_096, &page) == 0 && page & 1 == 1
    }

    @Test func `finds a long run between others`() throws {
        let arena = try #require(PageArena(bytesMax: 4 << 20))
        var runs: [Reference] = []
        while let run = arena.allocate(100, owner: 1) { runs.append(run) }
        arena.free(runs[3], units: 100)
        arena.free(runs[4], units: 100)
        #expect(arena.allocate(201, owner: 1) == nil)
        #expect(arena.allocate(200, owner: 1) == runs[3])
        arena.checkInvariants()
    }

    @Test(arguments: Seeds.smoke) func `agrees with a set of units`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let arena = try #require(PageArena(bytesMax: 8 << 20))
        var runs: [(reference: Reference, units: Int)] = []
        var owned = Set<Int>()
        for step in 0..<4_000 {
            if runs.isEmpty || Int.random(in: 0..<9, using: &random) < 5 {
                let aligned = Bool.random(using: &random)
                let units = aligned ? [1, 4, 8, 16].randomElement(using: &random)! : Int.random(in: 1...300, using: &random)
                guard let run = arena.allocate(units, aligned: aligned, owner: 7) else {
                    let victim = runs.remove(at: Int.random(in: 0..<runs.count, using: &random))
                    arena.free(victim.reference, units: victim.units)
                    owned.subtract(arena.unit(of: victim.reference)..<(arena.unit(of: victim.reference) + victim.units))
                    continue
                }
                for unit in arena.unit(of: run)..<(arena.unit(of: run) + units) {
                    #expect(owned.insert(unit).inserted, "seed \(seed), step \(step): unit \(unit) has two owners")
                }
                runs.append((run, units))
            } else {
                let victim = runs.remove(at: Int.random(in: 0..<runs.count, using: &random))
                arena.free(victim.reference, units: victim.units)
                owned.subtract(arena.unit(of: victim.reference)..<(arena.unit(of: victim.reference) + victim.units))
            }
            if step % 500 == 0 {
                _ = arena.trim(unitsMax: 100)
                arena.checkInvariants()
            }
        }
        for run in runs { arena.free(run.reference, units: run.units) }
        #expect(arena.unitsInUse == 0)
        while arena.trim(unitsMax: 64) {}
        #expect(arena.unitsUntrimmed <= 256)
        arena.checkInvariants()
    }
}
