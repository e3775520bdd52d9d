// Files that are complete, read again piece by piece and checked: sealed segments and snapshots.
//
// Read from the medium, not from the page cache, and dropped from that afterwards, so that nobody else's pages make room for them.
// Knows checksums and chains, not records: what is whole here was whole when it was written.

import LarderBytes
import LarderEngine
import LarderPlatform

/// What is wrong with a file at rest.
package struct DamageAtRest: Error, Equatable, Sendable {
    package let file: String
    package let offset: Int
    package let reason: String
    /// Whether the file itself is lost. Otherwise it could not be looked at this time.
    package let isLasting: Bool

    init(file: String, offset: Int, reason: String) {
        self.file = file
        self.offset = offset
        self.reason = reason
        isLasting = true
    }

    init(file: String, offset: Int, _ error: SystemError) {
        self.file = file
        self.offset = offset
        reason = "\(error)"
        isLasting = error.number == SystemError.inputOutput || error.isMissingFile
    }

    init(_ damage: SnapshotDamage) {
        if case .unreadable(let error) = damage.reason {
            self.init(file: damage.file, offset: damage.offset, error)
        } else {
            self.init(file: damage.file, offset: damage.offset, reason: "\(damage.reason)")
        }
    }

    /// - Parameter file: For an error that names none.
    init(_ error: PersistenceError, file: String) {
        switch error {
        case .system(let cause, let file): self.init(file: file, offset: 0, cause)
        case .segmentDamaged(let file, let offset, let fault): self.init(file: file, offset: offset, reason: "\(fault)")
        case .foreignFile(let file): self.init(file: file, offset: 0, reason: "foreign")
        case .fileMissing(let file): self.init(file: file, offset: 0, reason: "missing")
        default: self.init(file: file, offset: 0, reason: "\(error)")
        }
    }
}

/// A file that nobody will write to again.
package protocol FileAtRest: Sendable {
    var name: String { get }

    /// Reads the next piece and checks it.
    ///
    /// - Returns: How many bytes it has; nil when there is none left.
    mutating func readOn() throws(DamageAtRest) -> Int?
}

/// A snapshot that a manifest names.
struct SnapshotAtRest: FileAtRest {
    let files: any FileSystem
    let directory: DirectoryID
    let entry: Manifest.Snapshot
    private var reader: SnapshotReader?
    private var block = 0

    init(files: any FileSystem, directory: DirectoryID, entry: Manifest.Snapshot) {
        self.files = files
        self.directory = directory
        self.entry = entry
    }

    var name: String { FileName.snapshotName(entry.number) }

    mutating func readOn() throws(DamageAtRest) -> Int? {
        do throws(SnapshotDamage) {
            let reader = try opened()
            guard block < reader.index.count else { return nil }
            var stored = ByteBuffer()
            _ = try reader.readStored(block, into: &stored)
            reader.dropCache()
            defer { block += 1 }
            return SnapshotBlockHeader.byteCount + Int(reader.index[block].storedBytes)
        } catch {
            throw DamageAtRest(error)
        }
    }

    private mutating func opened() throws(SnapshotDamage) -> SnapshotReader {
        if let reader { return reader }
        let opened = try SnapshotReader(files: files, number: entry.number, dropsCache: true)
        try opened.check(against: entry, directory: directory)
        reader = opened
        return opened
    }
}

/// A segment of the log that another follows, which says where this one ends.
struct SegmentAtRest: FileAtRest {
    let files: any FileSystem
    let header: SegmentHeader
    let next: SegmentHeader
    private var file: (any File)?
    /// Where the next frame begins, and the checksum of the one before it.
    private var position = SegmentHeader.byteCount
    private var checksum: UInt32

    /// So much is read at once, if no frame is longer.
    private static let pieceBytes = 256 << 10

    init(files: any FileSystem, header: SegmentHeader, next: SegmentHeader) {
        self.files = files
        self.header = header
        self.next = next
        checksum = header.previousChecksum
    }

    var name: String { FileName.segmentName(header.number) }

    mutating func readOn() throws(DamageAtRest) -> Int? {
        if file == nil { try open() }
        if checksum == next.previousChecksum { return nil }
        var bytes = try read(Self.pieceBytes, at: position)
        var done = 0
        while checksum != next.previousChecksum {
            guard let frame = FrameHeader(parsing: bytes.bytes, at: done), frame.salt == header.salt, frame.segment == header.number,
                frame.previousChecksum == checksum
            else {
                // It may go on behind this piece.
                if done > 0, bytes.count - done < FrameHeader.byteCount { break }
                throw DamageAtRest(file: name, offset: position + done, reason: "header")
            }
            let count = FrameHeader.byteCount + frame.payloadBytes
            if bytes.count - done < count {
                if done > 0 { break }
                bytes = try read(count, at: position)
                guard bytes.count == count else { throw DamageAtRest(file: name, offset: position, reason: "short") }
            }
            let payload = bytes.bytes.extracting((done + FrameHeader.byteCount)..<(done + count))
            guard Checksum.of(payload) == frame.payloadChecksum else {
                throw DamageAtRest(file: name, offset: position + done, reason: "payload")
            }
            checksum = frame.checksum
            done += frame.stride
        }
        position += done
        return done
    }

    private mutating func open() throws(DamageAtRest) {
        do throws(SystemError) {
            file = try files.open(name, .read)
            file?.dropCache()
        } catch {
            throw DamageAtRest(file: name, offset: 0, error)
        }
        let bytes = try read(SegmentHeader.byteCount, at: 0)
        guard let found = try? SegmentHeader(parsing: bytes.bytes, file: name), found == header else {
            throw DamageAtRest(file: name, offset: 0, reason: "header")
        }
    }

    private func read(_ count: Int, at offset: Int) throws(DamageAtRest) -> ByteBuffer {
        var bytes = ByteBuffer()
        do throws(SystemError) {
            _ = try file?.read(at: Int64(offset), count: count, into: &bytes)
            file?.dropCache()
        } catch {
            throw DamageAtRest(file: name, offset: offset, error)
        }
        return bytes
    }
}
