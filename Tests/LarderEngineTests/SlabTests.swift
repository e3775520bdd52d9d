@testable import LarderEngine
import Testing

@Suite("Slab") struct SlabTests {
    @Test func `wastes at most seven bytes on a small entry and a seventh on a large one`() {
        let classes = SlabClasses.shared
        var wasted: [Int] = []
        for bytes in 17...8_176 {
            let slot = classes[classes.index(bytes)].bytes
            if slot < bytes || slot - bytes > max(7, bytes / 7) { wasted.append(bytes) }
            if bytes <= 256 && slot - bytes >= 8 { wasted.append(bytes) }
        }
        #expect(wasted == [])
    }

    @Test func `wastes at most a sixteenth of a page`() {
        let classes = SlabClasses.shared
        for index in 0..<classes.count {
            let room = classes[index].units * PageArena.unitBytes - SlabClasses.pageHeaderBytes
            #expect(room - classes[index].slots * classes[index].bytes <= room / 16, "class \(index)")
        }
    }

    @Test func `gives pages back when they are empty`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        var slab = Slab(arena: arena, shard: 0)
        for bytes in [24, 64, 100, 2_000, 16_368, 16_369, 1 << 20] {
            var references: [Reference] = []
            for _ in 0..<30 { references.append(slab.allocate(bytes)!) }
            let inUse = slab.bytesInUse
            #expect(inUse >= 30 * bytes)
            for reference in references { slab.free(reference, bytes) }
            let (held, left) = (slab.bytesHeld, slab.bytesInUse)
            #expect(held == 0)
            #expect(left == 0)
            #expect(arena.unitsInUse == 0)
        }
    }

    @Test func `knows a live entry from what was one`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        var slab = Slab(arena: arena, shard: 0)
        var other = Slab(arena: arena, shard: 1)
        for bytes in [64, 2_000, 100_000] {
            let entry = slab.allocate(bytes)!
            let second = slab.allocate(bytes)!
            let before = slab.isLiveEntry(entry)
            #expect(!before, "nothing was written yet")
            slab.address(entry).storeBytes(of: 5, as: UInt64.self)
            let (own, foreign, inside) = (slab.isLiveEntry(entry), other.isLiveEntry(entry), slab.isLiveEntry(entry + 1))
            #expect(own)
            #expect(!foreign)
            #expect(!inside)
            slab.free(entry, bytes)
            let freed = slab.isLiveEntry(entry)
            #expect(!freed)
            slab.free(second, bytes)
            let gone = slab.isLiveEntry(entry)
            #expect(!gone, "its page is gone")
            // The same memory in other hands.
            var foreignReferences: [Reference] = []
            for _ in 0..<100 {
                let reference = other.allocate(48)!
                other.address(reference).storeBytes(of: 5, as: UInt64.self)
                foreignReferences.append(reference)
            }
            let misread = slab.isLiveEntry(entry)
            #expect(!misread)
            for reference in foreignReferences { other.free(reference, 48) }
        }
        let chunk = slab.allocateChunk()!
        slab.address(chunk).storeBytes(of: 5, as: UInt64.self)
        let isEntry = slab.isLiveEntry(chunk)
        #expect(!isEntry, "a chunk of the wheel is no entry")
        slab.freeChunk(chunk)
    }

    @Test(arguments: Seeds.smoke) func `agrees with a model`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        var slab = Slab(arena: arena, shard: 3)
        var model: [(reference: Reference, bytes: Int, mark: UInt64)] = []
        let sizes = [17, 40, 64, 64, 64, 120, 300, 1_000, 5_000, 17_000, 70_000]
        for step in 0..<20_000 {
            let grows = step / 4_000 % 2 == 0
            if model.isEmpty || Int.random(in: 0..<10, using: &random) < (grows ? 7 : 3) {
                let bytes = sizes.randomElement(using: &random)!
                let reference = slab.allocate(bytes)!
                let mark = random.next() | 1
                slab.address(reference).storeBytes(of: mark, as: UInt64.self)
                slab.address(reference).storeBytes(of: mark, toByteOffset: bytes / 8 * 8 - 8, as: UInt64.self)
                model.append((reference, bytes, mark))
            } else {
                let victim = model.remove(at: Int.random(in: 0..<model.count, using: &random))
                #expect(slab.address(victim.reference).load(as: UInt64.self) == victim.mark, "seed \(seed), step \(step)")
                let last = slab.address(victim.reference).load(fromByteOffset: victim.bytes / 8 * 8 - 8, as: UInt64.self)
                #expect(last == victim.mark, "seed \(seed), step \(step): written over")
                slab.free(victim.reference, victim.bytes)
            }
            if step % 1_000 == 0 { slab.checkInvariants() }
        }
        for entry in model { slab.free(entry.reference, entry.bytes) }
        slab.checkInvariants()
        let held = slab.bytesHeld
        #expect(held == 0)
        #expect(arena.unitsInUse == 0)
        arena.checkInvariants()
    }
}
