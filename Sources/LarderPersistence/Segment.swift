// The first 4,096 bytes of a part of the log, which tie the file to its directory and to its place in the log.
//
// Knows no frames. All integers are little-endian; the fields and their checksum lie in the first sector, which the
// medium writes whole or not at all.
//
//      0  8    magic "LARDRWAL"                48  u64  every record of this file has at least this LSN
//      8  12   versions and features           56  u64  LSN that the log had reached before this file
//     20  u32  number of the segment           64  u64  salt of the frames
//     24  16   directory                       72  u64  ceiling: no larger LSN had been given
//     40  u32  epoch: starts of the server     80  i64  wall clock, Unix milliseconds
//     44  u32  checksum of the frame before    88  u32  flags: bit 0, begins anew
//                                              96  u64  length that the file was made with; 0: not told
//                                             508  u32  CRC-32C of bytes 0..507

import LarderBytes
import LarderEngine
import LarderPlatform

/// What a segment says of itself.
package struct SegmentHeader: Equatable, Sendable {
    package var number: UInt32
    package var directory: DirectoryID
    package var epoch: UInt32
    /// The header checksum of the last frame before this segment, 0 when there is none.
    package var previousChecksum: UInt32
    package var firstLSN: LSN
    /// Where the log stood, durably, when this segment began.
    package var previousLSN: LSN
    package var salt: UInt64
    package var ceiling: LSN
    package var wall: Milliseconds
    /// Continues no segment: a snapshot holds everything before it. Nothing but a manifest that names it as the oldest makes it
    /// part of the log.
    package var beginsAnew: Bool
    /// How long the file was made, in bytes, before it got its name: as the last segment it is never shorter. 0 when nobody says.
    package var fileBytes: UInt64

    /// Where the first frame begins.
    package static let byteCount = 4_096
    static let sectorBytes = 512
    static let magic: StaticString = "LARDRWAL"
    private static let beginsAnewBit: UInt32 = 1

    package init(
        number: UInt32, directory: DirectoryID, epoch: UInt32, previousChecksum: UInt32, firstLSN: LSN, previousLSN: LSN,
        salt: UInt64, ceiling: LSN, wall: Milliseconds, beginsAnew: Bool = false,
        fileBytes: UInt64 = 0
    ) {
        self.number = number
        self.directory = directory
        self.epoch = epoch
        self.previousChecksum = previousChecksum
        self.firstLSN = firstLSN
        self.previousLSN = previousLSN
        self.salt = salt
        self.ceiling = ceiling
        self.wall = wall
        self.beginsAnew = beginsAnew
        self.fileBytes = fileBytes
    }

    package func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(Self.magic)
        FormatVersion.append(to: &buffer)
        buffer.append(littleEndian: number)
        directory.append(to: &buffer)
        buffer.append(littleEndian: epoch)
        buffer.append(littleEndian: previousChecksum)
        buffer.append(littleEndian: firstLSN.rawValue)
        buffer.append(littleEndian: previousLSN.rawValue)
        buffer.append(littleEndian: salt)
        buffer.append(littleEndian: ceiling.rawValue)
        buffer.append(littleEndian: wall)
        buffer.append(littleEndian: beginsAnew ? Self.beginsAnewBit : 0)
        buffer.append(zeros: 4)
        buffer.append(littleEndian: fileBytes)
        buffer.append(zeros: Self.sectorBytes - 4 - (buffer.count - start))
        let checksum = Checksum.of(buffer.span(ByteRange(start: start, count: Self.sectorBytes - 4)))
        buffer.append(littleEndian: checksum)
        buffer.append(zeros: Self.byteCount - Self.sectorBytes)
    }

    /// The header at the start of `bytes`.
    ///
    /// - Parameter file: The name for messages.
    package init(parsing bytes: RawSpan, file: String) throws(PersistenceError) {
        guard bytes.byteCount >= Self.byteCount else {
            throw .segmentDamaged(file: file, offset: bytes.byteCount, reason: .short)
        }
        let sector = bytes.extracting(0..<(Self.sectorBytes - 4))
        guard sector.extracting(0..<8).equals(Self.magic),
            Checksum.of(sector) == bytes.littleEndian(at: Self.sectorBytes - 4, as: UInt32.self)
        else { throw .segmentDamaged(file: file, offset: 0, reason: .header) }
        switch FormatVersion.refusal(of: sector) {
        case .newer(let major): throw .newerFormat(file: file, major: major, known: Int(FormatVersion.major))
        case .features(let bits): throw .unknownFeatures(file: file, bits: bits)
        case nil: break
        }
        number = sector.littleEndian(at: 20, as: UInt32.self)
        directory = DirectoryID(sector, at: 24)
        epoch = sector.littleEndian(at: 40, as: UInt32.self)
        previousChecksum = sector.littleEndian(at: 44, as: UInt32.self)
        firstLSN = LSN(rawValue: sector.littleEndian(at: 48, as: UInt64.self))
        previousLSN = LSN(rawValue: sector.littleEndian(at: 56, as: UInt64.self))
        salt = sector.littleEndian(at: 64, as: UInt64.self)
        ceiling = LSN(rawValue: sector.littleEndian(at: 72, as: UInt64.self))
        wall = sector.littleEndian(at: 80, as: Int64.self)
        beginsAnew = sector.littleEndian(at: 88, as: UInt32.self) & Self.beginsAnewBit != 0
        fileBytes = sector.littleEndian(at: 96, as: UInt64.self)
    }
}
