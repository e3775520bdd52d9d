import Foundation
import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// What docs/memory-layout.md says is what the code does.
@Suite("Memory layout") struct MemoryLayoutTests {
    private static let page: String = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return (try? String(contentsOf: root.appending(path: "docs/memory-layout.md"), encoding: .utf8)) ?? ""
    }()

    /// The cells of a table's lines, from the line that begins with `head` on.
    private func table(_ head: String) throws -> [[String]] {
        let lines = Self.page.components(separatedBy: "\n")
        let start = try #require(lines.firstIndex { $0.hasPrefix(head) })
        return lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map { line in
            line.dropFirst().dropLast().components(separatedBy: "|").map {
                $0.trimmingCharacters(in: .whitespaces).replacingOccurrences(of: ",", with: "")
            }
        }
    }

    @Test func `the sizes of slots are those of the page`() throws {
        let stated = try table("| from 2 KiB on").flatMap { $0 }.compactMap { Int($0) }
        let classes = SlabClasses.shared
        let sizes = (0..<classes.chunkClass).map { classes[$0].bytes }
        #expect(sizes.filter { $0 > 2_048 } == stated)
        #expect(sizes.prefix(32) == Array(stride(from: 8, through: 256, by: 8))[...])
        #expect(sizes[32..<56] == [
            288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 832, 896, 960, 1_024, 1_152, 1_280, 1_408, 1_536, 1_664, 1_792,
            1_920, 2_048,
        ])
        #expect(sizes.count == 76)
        #expect((0..<classes.count).allSatisfy { [4, 8, 16].contains(classes[$0].unitsMax) })
        #expect((0..<classes.count).allSatisfy { classes[$0].bytes > 2_048 || classes[$0].unitsMin <= 2 })
        #expect((0..<classes.count).allSatisfy { classes[$0].bytes > 1_024 || classes[$0].unitsMin == 1 })
        #expect(SlabClasses.pageHeaderBytes == 64)
        #expect(PageArena.unitBytes == 4_096 && PageArena.granuleBytes == 8 && MemoryLayout<Reference>.size == 4)
    }

    @Test func `rounding up costs no more than the page says`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        let slab = Slab(arena: arena, shard: 0)
        var wrong: [Int] = []
        for bytes in 17...40_000 {
            let rest = slab.slotBytes(bytes) - bytes
            let limit = bytes <= 256 ? 7 : bytes <= 8_176 ? bytes / 8 : bytes <= 16_368 ? bytes / 4 + 7 : 4_095
            if rest < 0 || rest > limit { wrong.append(bytes) }
        }
        #expect(wrong == [])
    }

    @Test func `entries take what the page says`() throws {
        let arena = try #require(PageArena(bytesMax: 64 << 20))
        let slab = Slab(arena: arena, shard: 0)
        let lines = try table("| key | value | metadata |")
        #expect(lines.count == 9)
        for line in lines {
            let numbers = line.compactMap { Int($0) }
            let shape = EntryShape(
                keyBytes: numbers[0], valueBytes: numbers[1], metadataBytes: numbers[2], hasDeadline: line[3] == "yes",
                hasLinks: line[4] == "yes")
            #expect([shape.byteCount, slab.slotBytes(shape.byteCount)] == Array(numbers[3...]), "\(line)")
        }
    }

    @Test func `an entry's bytes are those of the page`() throws {
        let lines = Self.page.components(separatedBy: "\n")
        let start = try #require(lines.firstIndex(of: "```hex entry"))
        let stated = lines[(start + 1)...].prefix { $0 != "```" }.flatMap { line in
            line.components(separatedBy: "  ").filter { !$0.isEmpty }[1].split(separator: " ").compactMap { UInt8($0, radix: 16) }
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: stated.count, alignment: 8)
        defer { memory.deallocate() }
        let entry = try Entry(#require(memory.baseAddress))
        let (key, value, metadata) = (Array("a/b".utf8), Array("hello".utf8), [1, 2, 0, 0x41, 0x42] as [UInt8])
        entry.write(
            lsn: LSN(rawValue: 101), namespaceSlot: 7, deadline: Deadline(rawValue: 1_767_225_660_000), hasDeadline: true, hasLinks: true,
            metadata: metadata.span.bytes, key: key.span.bytes, value: value.span.bytes)
        #expect(entry.byteCount == stated.count)
        #expect(Array(memory) == stated)
    }

    @Test func `buckets, chunks and leaves are lines of the cache, and hold what the page says`() {
        #expect(BucketArray.bucketBytes == 64 && BucketArray.cellsPerBucket == 12)
        #expect(SlabClasses.chunkBytes == 64 && WheelChunk.capacity == 14)
        #expect(TimingWheel.levels * TimingWheel.slotsPerLevel == 1_024)
        #expect(OrderedIndex.leafBytes == 1_536 && OrderedIndex.leafCapacity == 126 && OrderedIndex.runMax == 120)
        let classes = SlabClasses.shared
        #expect(classes[classes.index(OrderedIndex.leafBytes)].bytes == OrderedIndex.leafBytes)
    }

    /// What the arena is asked for, all in all: header, rounding, table, pages.
    @Test func `bytes an entry are in the range of the page`() {
        for (valueBytes, lifetime, limits) in [(32, false, 22.0...32), (32, true, 34.0...42), (100, false, 26.0...34), (100, true, 38.0...44)] {
            let bench = StoreBench(shards: 16, durability: .off)
            let value = [UInt8](repeating: 1, count: valueBytes)
            for number in 0..<200_000 {
                let key = Array(String(1_000_000_000_000_000 + number &* 7_919).utf8)
                bench.put(key, value, lifetime ? .milliseconds(86_400_000 + Int64(number % 1_000)) : .unlimited)
            }
            bench.settle()
            let found = Double(bench.store.statistics().arenaBytes) / 200_000 - Double(16 + valueBytes)
            #expect(limits.contains(found), "\(valueBytes) bytes, lifetime \(lifetime): \(found)")
        }
    }
}
