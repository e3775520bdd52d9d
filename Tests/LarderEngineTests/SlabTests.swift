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

    @Test func `wastes at most a sixteenth of a page, of a small one a quarter`() {
        let classes = SlabClasses.shared
        for index in 0..<classes.count {
            for (units, share) in [(classes[index].unitsMin, 4), (classes[index].unitsMax, 16)] {
                let room = units * PageArena.unitBytes - SlabClasses.pageHeaderBytes
                #expect(room - classes[index].slots(units: units) * classes[index].bytes <= room / share, "class \(index)")
            }
        }
    }

    @Test func `pages are as small as what a class holds`() {
        let classes = SlabClasses.shared
        for index in 0..<classes.count {
            var held = 0
            var sizes: Set<Int> = []
            while held < 1_000 {
                let units = classes[index].unitsOfNextPage(held: held)
                #expect(units == classes[index].unitsMin || units <= max(held / 4, 1), "class \(index), \(held) units held")
                sizes.insert(units)
                held += units
            }
            #expect(sizes.min() == classes[index].unitsMin && sizes.max() == classes[index].unitsMax)
        }
    }

    @Test func `one entry of every size took a page of 16 to 64 KiB for each`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        var slab = Slab(arena: arena, shard: 0)
        let sizes = Array(stride(from: 24, through: 2_000, by: 8))
        for bytes in sizes { _ = slab.allocate(bytes)! }
        let held = slab.bytesHeld
        #expect(held <= 128 * 4_096, "\(held) bytes")
        slab.checkInvariants()
    }

    @Test func `an entry whose size has no page lies in a slot a little larger, and leaves it whole`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        var slab = Slab(arena: arena, shard: 0)
        let large = slab.allocate(1_024)!
        let small = slab.allocate(900)!
        let far = slab.allocate(700)!
        let held = slab.bytesHeld
        #expect(held == 2 * 4_096, "the second shares the page of the first, the third does not")
        for reference in [large, small, far] { slab.address(reference).storeBytes(of: 5, as: UInt64.self) }
        let isLive = slab.isLiveEntry(small)
        #expect(isLive)
        // A leaf of an index stays to itself.
        let leaf = slab.allocate(800, sharing: false)!
        let more = slab.bytesHeld
        #expect(more == held + 4_096)
        slab.free(leaf, 800)
        // What is as large as the slot fits where the small one lay.
        slab.free(small, 900)
        let again = slab.allocate(1_024)!
        #expect(again == small)
        for (reference, bytes) in [(large, 1_024), (again, 1_024), (far, 700)] { slab.free(reference, bytes) }
        let (left, inUse) = (slab.bytesHeld, slab.bytesInUse)
        #expect(left == 0 && inUse == 0)
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
