import Foundation
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// The examples in docs/file-formats.md are what the code writes, byte for byte, and what it reads.
@Suite("File formats") struct FileFormatsTests {
    /// The bytes of each example: fenced blocks that begin with "```hex NAME".
    static func examples() throws -> [String: [UInt8]] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/file-formats.md"), encoding: .utf8)
        var examples: [String: [UInt8]] = [:]
        var name: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                name = line.hasPrefix("```hex ") ? String(line.dropFirst(7)) : nil
            } else if let name {
                // Offset, two spaces, bytes; then perhaps two spaces and a remark.
                let fields = line.split(separator: "  ", omittingEmptySubsequences: true)
                guard fields.count >= 2 else { continue }
                examples[name, default: []] += fields[1].split(separator: " ").compactMap { UInt8($0, radix: 16) }
            }
        }
        return examples
    }

    static let directory = DirectoryID(high: 0x6A09_E667_F3BC_4908, low: 0xB2FB_1366_EA95_7D3E)
    static let segment = SegmentHeader(
        number: 42, directory: directory, epoch: 3, previousChecksum: 0x1122_3344, firstLSN: LSN(rawValue: 101),
        previousLSN: LSN(rawValue: 100), salt: 0x0123_4567_89AB_CDEF, ceiling: LSN(rawValue: 5_000), wall: 1_767_225_600_000,
        fileBytes: 64 << 20)

    static func bytes(_ fill: (inout ByteBuffer) -> Void) -> [UInt8] {
        var buffer = ByteBuffer()
        fill(&buffer)
        return Array(buffer.bytes)
    }

    static let record = bytes { buffer in
        LogRecord(
            .set, lsn: LSN(rawValue: 101), namespace: 0, deadline: Deadline(rawValue: 1_767_225_660_000),
            key: "a/b".utf8.span.bytes, metadata: RawSpan(), value: "hello".utf8.span.bytes
        ).append(to: &buffer)
    }

    static func frame() -> FrameHeader {
        FrameHeader(
            salt: segment.salt, segment: 42, payload: record.span.bytes, recordCount: 1, firstLSN: LSN(rawValue: 101),
            durableLSN: LSN(rawValue: 100), previousChecksum: 0x1122_3344, flags: [], wall: 1_767_225_600_001)
    }

    static let manifest = Manifest(
        directory: directory, epoch: 3, generation: 17,
        snapshots: [
            Manifest.Snapshot(number: 7, begin: LSN(rawValue: 90), end: LSN(rawValue: 94), bytes: 311, digest: 0x89AB_CDEF)
        ], oldestSegment: 41, durable: LSN(rawValue: 100), ceiling: LSN(rawValue: 5_000))

    /// A snapshot of one namespace and one entry, as a server writes it.
    static func snapshot() throws -> [UInt8] {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a/b", "hello")
        rig.sync()
        try rig.store.snapshotNow()
        return try #require(rig.files.content(FileName.snapshotName(1)))
    }

    static func written() throws -> [String: [UInt8]] {
        var frame = frame()
        return [
            "segment-header": Array(bytes { segment.append(to: &$0) }[..<512]),
            "record": record,
            "frame": bytes { frame.append(to: &$0) } + record,
            "snapshot": try snapshot(),
            "manifest": bytes { manifest.append(to: &$0) },
        ]
    }

    @Test(arguments: ["segment-header", "record", "frame", "snapshot", "manifest"])
    func `an example of the document is what the code writes`(name: String) throws {
        let documented = try #require(Self.examples()[name])
        let written = try #require(Self.written()[name])
        #expect(documented == written)
    }

    @Test func `the examples are read back as what they were made of`() throws {
        let examples = try Self.examples()
        let header = try #require(examples["segment-header"]) + [UInt8](repeating: 0, count: 3_584)
        let segment = try SegmentHeader(parsing: header.span.bytes, file: "wal-0000000042")
        #expect(segment == Self.segment)
        let frame = try #require(examples["frame"])
        let found = FrameHeader(parsing: frame.span.bytes, at: 0)
        let parsed = try #require(found)
        #expect(parsed.payloadBytes == Self.record.count)
        #expect(parsed.firstLSN == LSN(rawValue: 101))
        let text = try #require(examples["manifest"])
        let manifest = try Manifest(parsing: text.span.bytes, file: "MANIFEST")
        #expect(manifest == Self.manifest)
        let files = MemoryFileSystem()
        files.setContent(FileName.snapshotName(1), try #require(examples["snapshot"]))
        let reader = try SnapshotReader(files: files, number: 1)
        #expect(reader.footer.entryCount == 1)
        #expect(reader.index.count == 2)
    }

    @Test func `names of files are read as they are written, and nothing else is taken for one`() {
        #expect(FileName(FileName.segmentName(42)) == .segment(42))
        #expect(FileName(FileName.spareName(.max)) == .spare(.max))
        #expect(FileName(FileName.snapshotName(0)) == .snapshot(0))
        for name in ["wal-42", "wal-00000000042", "wal-+000000042", "snap-", "wal-9999999999", "MANIFEST "] {
            #expect(FileName(name) == .foreign, "\(name)")
        }
        #expect(DirectoryID("6a09e667-f3bc-4908-b2fb-1366ea957d3e") == Self.directory)
        #expect(DirectoryID("6A09E667-F3BC-4908-B2FB-1366EA957D3E") == nil)
    }

    @Test func `a segment of a newer major version, or that needs unknown features, is refused by name`() throws {
        for (offset, expected) in [
            (8, PersistenceError.newerFormat(file: "w", major: 2, known: 1)), (12, .unknownFeatures(file: "w", bits: 2)),
        ] {
            var bytes = Self.bytes { Self.segment.append(to: &$0) }
            bytes[offset] = 2
            let checksum = Checksum.of(bytes.span.bytes.extracting(0..<508))
            for index in 0..<4 { bytes[508 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
            #expect(throws: expected) { try SegmentHeader(parsing: bytes.span.bytes, file: "w") }
        }
    }

    @Test(arguments: [0, 1, 100, 5_000, 300_000])
    func `blocks shrink where that helps, and come back as they were`(count: Int) throws {
        var random = SeededGenerator(seed: UInt64(count))
        let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        let text = (0..<count).map { UInt8($0 % 7) }
        for value in [noise, text] {
            let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 1 << 20))
            rig.write(.set("key", value, .never))
            rig.sync()
            let snapshot = try rig.store.snapshotNow()
            if value == text, count >= 5_000 { #expect(Int(snapshot.bytes) < count / 2) }
            if value == noise { #expect(Int(snapshot.bytes) < count + 600) }
            let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
            #expect(report.snapshot == 1)
            #expect(next.matchesHistory(report))
        }
    }
}
