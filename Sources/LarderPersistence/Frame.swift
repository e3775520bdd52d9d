// One group commit: the unit that a crash leaves whole or not at all.
//
// Knows headers and payload bytes, not the records in them. A frame begins at a multiple of eight bytes. All integers
// are little-endian.
//
//      0  u32  magic                      32  u64  first LSN; of a frame without records: LSN that the log has reached
//      4  u32  CRC-32C of bytes 8..63     40  u64  highest LSN known to be on the medium when this was written
//      8  u64  salt of the segment        48  u32  bytes 4..7 of the frame before
//     16  u32  number of the segment      52  u32  flags
//     20  u32  length of the payload      56  i64  wall clock, Unix milliseconds
//     24  u32  CRC-32C of the payload     64       payload: records
//     28  u32  number of records

import LarderBytes
import LarderEngine
import LarderPlatform

/// The 64 bytes before a payload.
package struct FrameHeader: Equatable, Sendable {
    package var salt: UInt64
    package var segment: UInt32
    package var payloadBytes: Int
    package var payloadChecksum: UInt32
    package var recordCount: UInt32
    package var firstLSN: LSN
    /// The durable watermark: proves that everything up to it was promised.
    package var durableLSN: LSN
    package var previousChecksum: UInt32
    package var flags: Flags
    package var wall: Milliseconds
    /// The checksum of this header itself, to which the next frame is chained.
    package private(set) var checksum: UInt32 = 0

    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Written because the log had been idle, to carry the watermark.
        package static let seal = Flags(rawValue: 1)
        /// Nothing follows in this file.
        package static let segmentEnd = Flags(rawValue: 2)
        /// The server stopped in order; everything before is on the medium.
        package static let clean = Flags(rawValue: 4)
        /// The first frame of a start; its LSN is one that no earlier start can have given.
        package static let epochStart = Flags(rawValue: 8)
        /// Written because the log had been idle for long, to carry the wall clock.
        package static let heartbeat = Flags(rawValue: 16)
    }

    package static let byteCount = 64
    package static let alignment = 8
    /// No payload is longer: a full staging buffer, and the record that began when it was not yet full.
    package static let payloadBytesMax = 64 << 20
    static let magic: UInt32 = 0x4D52_464C  // "LFRM" as bytes

    package init(
        salt: UInt64, segment: UInt32, payload: RawSpan, recordCount: UInt32, firstLSN: LSN, durableLSN: LSN,
        previousChecksum: UInt32, flags: Flags, wall: Milliseconds
    ) {
        precondition(payload.byteCount <= Self.payloadBytesMax, "payload is too long for a frame")
        self.salt = salt
        self.segment = segment
        payloadBytes = payload.byteCount
        payloadChecksum = Checksum.of(payload)
        self.recordCount = recordCount
        self.firstLSN = firstLSN
        self.durableLSN = durableLSN
        self.previousChecksum = previousChecksum
        self.flags = flags
        self.wall = wall
    }

    /// The room that the frame takes, up to where the next one begins.
    package var stride: Int { Self.stride(payloadBytes: payloadBytes) }

    package static func stride(payloadBytes: Int) -> Int {
        (byteCount + payloadBytes + alignment - 1) & ~(alignment - 1)
    }

    /// Appends the header and notes its checksum.
    package mutating func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(littleEndian: Self.magic)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: salt)
        buffer.append(littleEndian: segment)
        buffer.append(littleEndian: UInt32(payloadBytes))
        buffer.append(littleEndian: payloadChecksum)
        buffer.append(littleEndian: recordCount)
        buffer.append(littleEndian: firstLSN.rawValue)
        buffer.append(littleEndian: durableLSN.rawValue)
        buffer.append(littleEndian: previousChecksum)
        buffer.append(littleEndian: flags.rawValue)
        buffer.append(littleEndian: wall)
        checksum = Checksum.of(buffer.span(ByteRange(start: start + 8, count: Self.byteCount - 8)))
        buffer.overwrite(at: start + 4, littleEndian: checksum)
    }

    /// The header at `position`, or nil when the bytes there are too few or not an undamaged header.
    package init?(parsing bytes: RawSpan, at position: Int) {
        guard position >= 0, bytes.byteCount - position >= Self.byteCount,
            bytes.littleEndian(at: position, as: UInt32.self) == Self.magic
        else { return nil }
        let header = bytes.extracting(position..<(position + Self.byteCount))
        checksum = header.littleEndian(at: 4, as: UInt32.self)
        guard Checksum.of(header.extracting(8..<Self.byteCount)) == checksum else { return nil }
        salt = header.littleEndian(at: 8, as: UInt64.self)
        segment = header.littleEndian(at: 16, as: UInt32.self)
        let length = header.littleEndian(at: 20, as: UInt32.self)
        guard length <= UInt32(Self.payloadBytesMax) else { return nil }
        payloadBytes = Int(length)
        payloadChecksum = header.littleEndian(at: 24, as: UInt32.self)
        recordCount = header.littleEndian(at: 28, as: UInt32.self)
        firstLSN = LSN(rawValue: header.littleEndian(at: 32, as: UInt64.self))
        durableLSN = LSN(rawValue: header.littleEndian(at: 40, as: UInt64.self))
        previousChecksum = header.littleEndian(at: 48, as: UInt32.self)
        flags = Flags(rawValue: header.littleEndian(at: 52, as: UInt32.self))
        wall = header.littleEndian(at: 56, as: Int64.self)
    }
}
