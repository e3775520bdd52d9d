// The two ends of a snapshot file: what it is, and that it is complete. Blocks lie between them.
//
// header (128 bytes) - blocks, the first of which holds the namespaces - index - footer (96 bytes). All integers are
// little-endian.
//
// Header:                                       Footer:
//      0  8    magic "LARDRSNP"                      0  u32  magic
//      8  12   versions and features                 4  u32  CRC-32C of bytes 8..95
//     20  u32  number of the snapshot                8  u32  number of the snapshot
//     24  16   directory                            12  u32  number of blocks
//     40  u64  begin: LSN                           16  u64  position of the index
//     48  u32  epoch                                24  u32  digest: CRC-32C of the index
//     52  u32  0                                    28  u32  0
//     56  i64  wall clock, Unix milliseconds        32  u64  entries, namespaces not counted
//     64  60   0                                    40  u64  bytes of blocks before compression
//    124  u32  CRC-32C of bytes 0..123              48  u64  bytes of blocks as stored, headers not counted
//                                                   56  u64  end: LSN that the log has to reach
// Index, 24 bytes a block:                          64  i64  wall clock, Unix milliseconds
//      0  u64  position of the block                72  16   0
//      8  u32  number of entries                    88  8    end magic "LARDREND"
//     12  u32  length as stored
//     16  u32  CRC-32C of the stored bytes
//     20  u32  CRC-32C in the block's header

import LarderBytes
import LarderEngine
import LarderPlatform

/// What a snapshot says of itself before it is complete.
package struct SnapshotHeader: Equatable, Sendable {
    package var number: UInt32
    package var directory: DirectoryID
    /// Where the log stood before the first entry was copied.
    package var begin: LSN
    package var epoch: UInt32
    package var wall: Milliseconds

    package static let byteCount = 128
    static let magic: StaticString = "LARDRSNP"

    package init(number: UInt32, directory: DirectoryID, begin: LSN, epoch: UInt32, wall: Milliseconds) {
        self.number = number
        self.directory = directory
        self.begin = begin
        self.epoch = epoch
        self.wall = wall
    }

    package func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(Self.magic)
        FormatVersion.append(to: &buffer)
        buffer.append(littleEndian: number)
        directory.append(to: &buffer)
        buffer.append(littleEndian: begin.rawValue)
        buffer.append(littleEndian: epoch)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: wall)
        buffer.append(zeros: Self.byteCount - 4 - (buffer.count - start))
        buffer.append(littleEndian: Checksum.of(buffer.span(ByteRange(start: start, count: Self.byteCount - 4))))
    }

    package init(parsing bytes: RawSpan) throws(SnapshotFaultError) {
        guard bytes.byteCount >= Self.byteCount, bytes.extracting(0..<8).equals(Self.magic),
            Checksum.of(bytes.extracting(0..<(Self.byteCount - 4))) == bytes.littleEndian(at: Self.byteCount - 4, as: UInt32.self)
        else { throw SnapshotFaultError(.header) }
        switch FormatVersion.refusal(of: bytes) {
        case .newer(let major): throw SnapshotFaultError(.newerFormat(major: major))
        case .features(let bits): throw SnapshotFaultError(.unknownFeatures(bits: bits))
        case nil: break
        }
        number = bytes.littleEndian(at: 20, as: UInt32.self)
        directory = DirectoryID(bytes, at: 24)
        begin = LSN(rawValue: bytes.littleEndian(at: 40, as: UInt64.self))
        epoch = bytes.littleEndian(at: 48, as: UInt32.self)
        wall = bytes.littleEndian(at: 56, as: Int64.self)
    }
}

/// A fault on its way to the caller that knows the file and the position.
package struct SnapshotFaultError: Error, Equatable, Sendable {
    package let fault: SnapshotFault
    init(_ fault: SnapshotFault) { self.fault = fault }
}

/// Where a block lies, and what it has to be.
package struct SnapshotIndexEntry: Equatable, Sendable {
    package var offset: UInt64
    package var entryCount: UInt32
    package var storedBytes: UInt32
    package var storedChecksum: UInt32
    package var headerChecksum: UInt32

    static let byteCount = 24

    func append(to buffer: inout ByteBuffer) {
        buffer.append(littleEndian: offset)
        buffer.append(littleEndian: entryCount)
        buffer.append(littleEndian: storedBytes)
        buffer.append(littleEndian: storedChecksum)
        buffer.append(littleEndian: headerChecksum)
    }

    init(_ bytes: RawSpan, at position: Int) {
        offset = bytes.littleEndian(at: position, as: UInt64.self)
        entryCount = bytes.littleEndian(at: position + 8, as: UInt32.self)
        storedBytes = bytes.littleEndian(at: position + 12, as: UInt32.self)
        storedChecksum = bytes.littleEndian(at: position + 16, as: UInt32.self)
        headerChecksum = bytes.littleEndian(at: position + 20, as: UInt32.self)
    }

    init(offset: UInt64, block: SnapshotBlockHeader) {
        self.offset = offset
        entryCount = block.entryCount
        storedBytes = UInt32(block.storedBytes)
        storedChecksum = block.storedChecksum
        headerChecksum = block.checksum
    }
}

/// What ends a complete snapshot.
package struct SnapshotFooter: Equatable, Sendable {
    package var number: UInt32
    package var blockCount: UInt32 = 0
    package var indexOffset: UInt64 = 0
    package var digest: UInt32 = 0
    package var entryCount: UInt64 = 0
    package var rawBytes: UInt64 = 0
    package var storedBytes: UInt64 = 0
    /// The log has to reach this, or the snapshot shows a future that did not survive.
    package var end: LSN = .zero
    package var wall: Milliseconds = 0

    package static let byteCount = 96
    static let magic: UInt32 = 0x544F_464C  // "LFOT" as bytes
    static let endMagic: StaticString = "LARDREND"

    init(number: UInt32) {
        self.number = number
    }

    func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(littleEndian: Self.magic)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: number)
        buffer.append(littleEndian: blockCount)
        buffer.append(littleEndian: indexOffset)
        buffer.append(littleEndian: digest)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: entryCount)
        buffer.append(littleEndian: rawBytes)
        buffer.append(littleEndian: storedBytes)
        buffer.append(littleEndian: end.rawValue)
        buffer.append(littleEndian: wall)
        buffer.append(zeros: 16)
        buffer.append(Self.endMagic)
        let checksum = Checksum.of(buffer.span(ByteRange(start: start + 8, count: Self.byteCount - 8)))
        buffer.overwrite(at: start + 4, littleEndian: checksum)
    }

    /// The footer that `bytes` are, or nil.
    init?(parsing bytes: RawSpan) {
        guard bytes.byteCount == Self.byteCount, bytes.littleEndian(at: 0, as: UInt32.self) == Self.magic,
            bytes.extracting(88..<96).equals(Self.endMagic),
            Checksum.of(bytes.extracting(8..<Self.byteCount)) == bytes.littleEndian(at: 4, as: UInt32.self)
        else { return nil }
        number = bytes.littleEndian(at: 8, as: UInt32.self)
        blockCount = bytes.littleEndian(at: 12, as: UInt32.self)
        indexOffset = bytes.littleEndian(at: 16, as: UInt64.self)
        digest = bytes.littleEndian(at: 24, as: UInt32.self)
        entryCount = bytes.littleEndian(at: 32, as: UInt64.self)
        rawBytes = bytes.littleEndian(at: 40, as: UInt64.self)
        storedBytes = bytes.littleEndian(at: 48, as: UInt64.self)
        end = LSN(rawValue: bytes.littleEndian(at: 56, as: UInt64.self))
        wall = bytes.littleEndian(at: 64, as: Int64.self)
    }
}
