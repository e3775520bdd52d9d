// A file system that breaks one promise of the `FileSystem` protocol, so that tests can see that their harness notices.
//
// What a server with that defect would do is the same as what an honest server does on such a disk: a server that forgets to
// sync a directory, and one whose directory syncs do nothing, leave the same bytes.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform

/// An honest file system seen through a lie.
package final class DishonestFileSystem: FileSystem {
    package enum Lie: Sendable, CaseIterable {
        /// A sync of a file returns at once.
        case fileSyncsDoNothing
        /// A sync of the names returns at once.
        case directorySyncsDoNothing
        /// Syncs of snapshots and manifests return at once, those of the log work.
        case onlyTheLogIsSynced
        /// A sync that fails says that all is well.
        case syncErrorsAreKeptBack
        /// Reads come from the cache even after a sync that failed.
        case cacheIsKept
        /// Damaged frames and records are given checksums that fit: what a reader sees that does not check any.
        case checksumsAlwaysFit
        /// The last bytes of a write go missing, but it says that all were written.
        case writesAreCut
    }

    private let files: any FileSystem
    private let lie: Lie

    package init(_ files: any FileSystem, _ lie: Lie) {
        self.files = files
        self.lie = lie
    }

    package var path: String { files.path }

    package func open(_ name: String, _ access: FileAccess) throws(SystemError) -> any File {
        DishonestFile(try files.open(name, access), name, lie)
    }

    package func rename(_ name: String, to target: String) throws(SystemError) { try files.rename(name, to: target) }
    package func link(_ name: String, as second: String) throws(SystemError) { try files.link(name, as: second) }
    package func isSame(_ name: String, _ other: String) throws(SystemError) -> Bool { try files.isSame(name, other) }
    package func remove(_ name: String) throws(SystemError) { try files.remove(name) }
    package func list() throws(SystemError) -> [String] { try files.list() }
    package func freeBytes() throws(SystemError) -> Int64 { try files.freeBytes() }

    package func syncDirectory() throws(SystemError) {
        if lie != .directorySyncsDoNothing { try files.syncDirectory() }
    }

    package func lock(_ name: String, owner: String, writable: Bool) throws(LockError) -> (any DirectoryLock)? {
        try files.lock(name, owner: owner, writable: writable)
    }
}

private final class DishonestFile: File {
    private let file: any File
    private let name: String
    private let lie: DishonestFileSystem.Lie

    init(_ file: any File, _ name: String, _ lie: DishonestFileSystem.Lie) {
        self.file = file
        self.name = name
        self.lie = lie
    }

    private var isLog: Bool { name.hasPrefix("wal-") || name.hasPrefix("spare-") }

    func read(at offset: Int64, count: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        guard lie == .checksumsAlwaysFit, isLog else { return try file.read(at: offset, count: count, into: &buffer) }
        var bytes = ByteBuffer()
        let got = try file.read(at: offset, count: count, into: &bytes)
        buffer.append(fitted(Array(bytes.bytes)).span.bytes)
        return got
    }

    func write(_ head: RawSpan, _ body: RawSpan, at offset: Int64) throws(SystemError) -> Int {
        let count = head.byteCount + body.byteCount
        guard lie == .writesAreCut, isLog, offset > 0, count > 300 else { return try file.write(head, body, at: offset) }
        _ = try file.write(head, body.extracting(0..<max(0, body.byteCount - 100)), at: offset)
        return count
    }

    func sync() throws(SystemError) {
        switch lie {
        case .fileSyncsDoNothing: return
        case .onlyTheLogIsSynced where !isLog: return
        case .syncErrorsAreKeptBack: try? file.sync()
        default: try file.sync()
        }
    }

    func allocate(_ bytes: Int64) throws(SystemError) { try file.allocate(bytes) }
    func truncate(to bytes: Int64) throws(SystemError) { try file.truncate(to: bytes) }
    func size() throws(SystemError) -> Int64 { try file.size() }
    func dropCache() { if lie != .cacheIsKept { file.dropCache() } }
    func close() throws(SystemError) { try file.close() }

    /// A segment whose frames and records all have checksums that fit what is there.
    private func fitted(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        guard let segment = try? SegmentHeader(parsing: bytes.span.bytes, file: name) else { return bytes }
        var position = SegmentHeader.byteCount
        var previous = segment.previousChecksum
        while position + FrameHeader.byteCount <= bytes.count, bytes[position] == UInt8(ascii: "L") {
            let length = Int(word(bytes, position + 20))
            let start = position + FrameHeader.byteCount
            guard length <= bytes.count - start else { break }
            fitRecords(&bytes, start..<(start + length))
            put(Checksum.of(bytes.span.bytes.extracting(start..<(start + length))), &bytes, position + 24)
            put(previous, &bytes, position + 48)
            previous = Checksum.of(bytes.span.bytes.extracting((position + 8)..<start))
            put(previous, &bytes, position + 4)
            position += FrameHeader.stride(payloadBytes: length)
        }
        return bytes
    }

    private func fitRecords(_ bytes: inout [UInt8], _ range: Range<Int>) {
        var position = range.lowerBound
        while position + LogRecord.headerBytes <= range.upperBound {
            let length = Int(word(bytes, position + 4))
            guard length >= LogRecord.headerBytes, length <= range.upperBound - position else { return }
            var checksum = Checksum()
            checksum.update(bytes.span.bytes.extracting((position + LogRecord.headerBytes)..<(position + length)))
            checksum.update(bytes.span.bytes.extracting((position + 4)..<(position + LogRecord.headerBytes)))
            put(checksum.value, &bytes, position)
            position += length
        }
    }

    private func word(_ bytes: [UInt8], _ position: Int) -> UInt32 {
        bytes.span.bytes.littleEndian(at: position, as: UInt32.self)
    }

    private func put(_ word: UInt32, _ bytes: inout [UInt8], _ position: Int) {
        for index in 0..<4 { bytes[position + index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * index)) }
    }
}
