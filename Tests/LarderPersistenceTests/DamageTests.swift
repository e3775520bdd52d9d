import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// Every cut and every flipped bit: what comes back is a prefix of what was written, or a refusal, never anything else.
@Suite("Damaged files") struct DamageTests {
    private static let segment = FileName.segmentName(1)

    /// A directory whose only segment holds `frames` group commits of `records` records, most of them sealed.
    private func directory(frames: Int, records: Int, segmentBytes: Int) throws -> Rig {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: segmentBytes))
        for frame in 0..<frames {
            for record in 0..<records {
                rig.set("key\(record)", "value \(frame) of \(record)")
                if record % 5 == 4 { rig.write(.remove("key\(record - 3)")) }
            }
            rig.sync()
            rig.clock.advance(milliseconds: 10)
        }
        return rig
    }

    /// Where each whole frame ends, and how far the log has come there.
    private func frames(_ bytes: [UInt8]) -> [(start: Int, end: Int, header: FrameHeader)] {
        var frames: [(start: Int, end: Int, header: FrameHeader)] = []
        var position = SegmentHeader.byteCount
        while let header = FrameHeader(parsing: bytes.span.bytes, at: position) {
            frames.append((position, position + header.stride, header))
            position += header.stride
        }
        return frames
    }

    @Test func `a log that is cut at any byte gives the frames before the cut, exactly`() throws {
        let rig = try directory(frames: 24, records: 8, segmentBytes: 21_000)
        let whole = try #require(rig.files.content(Self.segment))
        let frames = frames(whole)
        #expect(frames.count == 25)
        for cut in SegmentHeader.byteCount..<whole.count {
            let files = rig.files.copy()
            files.setContent(Self.segment, Array(whole[..<cut]))
            let kept = frames.prefix { $0.start + FrameHeader.byteCount + $0.header.payloadBytes <= cut }
            guard let last = kept.last else {
                // The first frame of a start is on the medium before the manifest promises it.
                #expect(throws: PersistenceError.self) { try Rig.start(files) }
                continue
            }
            let (next, report) = try Rig.start(files, history: rig.history)
            let end = kept.endIndex < frames.endIndex ? frames[kept.endIndex].header.firstLSN : LSN(rawValue: .max)
            #expect(report.reached >= last.header.firstLSN && report.reached < end, "cut at \(cut)")
            #expect(next.matchesHistory(report), "cut at \(cut)")
        }
    }

    @Test func `a log with any one bit flipped gives a prefix or a refusal`() throws {
        let rig = try directory(frames: 4, records: 3, segmentBytes: 8_192)
        let whole = try #require(rig.files.content(Self.segment))
        let frames = frames(whole)
        let end = try #require(frames.last).end
        var refused = 0
        var cut = 0
        for bit in 0..<((end + 64) * 8) {
            let byte = bit / 8
            // Behind the first sector, which the checksum covers, a segment's header is padding.
            if byte >= 512 && byte < SegmentHeader.byteCount && byte % 64 != 0 { continue }
            let files = rig.files.copy()
            files.flip(bit: bit, of: Self.segment)
            guard let (next, report) = try? Rig.start(files, history: rig.history) else {
                refused += 1
                continue
            }
            #expect(next.matchesHistory(report), "bit \(bit)")
            // What other frames say was durable is there.
            let promised = frames.filter { !($0.start..<$0.end).contains(byte) }.map(\.header.durableLSN).max() ?? .zero
            #expect(report.reached >= promised, "bit \(bit)")
            if report.reached < rig.history.last { cut += 1 }
        }
        #expect(refused > 1_000)
        // Only the last group commit, which nothing after it vouches for, can be taken for torn.
        let last = try #require(frames.last)
        #expect(cut <= (last.end - last.start) * 8)
    }

    @Test func `sectors that are lost, doubled or swapped give a prefix or a refusal`() throws {
        let rig = try directory(frames: 24, records: 8, segmentBytes: 21_000)
        let whole = try #require(rig.files.content(Self.segment))
        let sector = 512
        for index in 0..<(whole.count / sector) {
            let range = index * sector..<(index + 1) * sector
            let other = ((index + 3) * sector % (whole.count / sector * sector))
            var lost = whole
            lost.replaceSubrange(range, with: repeatElement(0, count: sector))
            var doubled = whole
            doubled.replaceSubrange(range, with: whole[other..<(other + sector)])
            var swapped = doubled
            swapped.replaceSubrange(other..<(other + sector), with: whole[range])
            for bytes in [lost, doubled, swapped] {
                let files = rig.files.copy()
                files.setContent(Self.segment, bytes)
                guard let (next, report) = try? Rig.start(files, history: rig.history) else { continue }
                #expect(next.matchesHistory(report), "sector \(index)")
            }
        }
    }

    @Test func `a snapshot with any one bit flipped is found out`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for index in 0..<12 { rig.set("key\(index)", "value \(index)") }
        rig.sync()
        try rig.store.snapshotNow()
        let name = FileName.snapshotName(1)
        let count = try #require(rig.files.content(name)).count
        for bit in 0..<(count * 8) {
            let files = rig.files.copy()
            files.flip(bit: bit, of: name)
            // There is only one, and the whole log, so that nothing is lost.
            let (next, report) = try Rig.start(files, history: rig.history)
            #expect(report.damagedSnapshots.count == 1, "bit \(bit)")
            #expect(next.matchesHistory(report), "bit \(bit)")
        }
    }

    @Test func `a manifest with any one bit flipped or cut at any byte is found out`() throws {
        var buffer = ByteBuffer()
        Manifest(
            directory: DirectoryID(high: 1, low: 2), epoch: 3, generation: 17,
            snapshots: [
                Manifest.Snapshot(
                    number: 7, begin: LSN(rawValue: 900), end: LSN(rawValue: 940), bytes: 123_456, digest: 0x89AB_CDEF)
            ], oldestSegment: 42, durable: LSN(rawValue: 950), ceiling: LSN(rawValue: 999)
        ).append(to: &buffer)
        let whole = Array(buffer.bytes)
        for bit in 0..<(whole.count * 8) {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: PersistenceError.self, "bit \(bit)") { try Manifest(parsing: bytes.span.bytes, file: "M") }
        }
        for cut in 0..<whole.count {
            #expect(throws: PersistenceError.self, "cut \(cut)") {
                try Manifest(parsing: Array(whole[..<cut]).span.bytes, file: "M")
            }
        }
    }
}
