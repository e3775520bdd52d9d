// A run of snapshot entries, compressed where that helps, with everything needed to check it alone.
//
// Knows no entries: bytes in, bytes out. Blocks are independent, so damage is confined and loading is parallel.
// All integers are little-endian.
//
//      0  u32  magic                      24  u32  length as stored
//      4  u32  CRC-32C of bytes 8..47     28  u8   codec: 0 as it is, 1 zlib
//      8  u32  number of the block        29  u8   content: 0 entries, 1 namespaces
//     12  u32  number of the snapshot     30  u16  0
//     16  u32  number of entries          32  u32  CRC-32C of the stored bytes
//     20  u32  length before compression  36  u32  CRC-32C before compression
//                                         40  u64  0

import LarderBytes
import LarderEngine

/// The 48 bytes before a block's stored bytes.
package struct SnapshotBlockHeader: Equatable, Sendable {
    package var number: UInt32
    package var snapshot: UInt32
    package var entryCount: UInt32
    package var rawBytes: Int
    package var storedBytes: Int
    package var codec: Codec
    package var content: Content
    package var storedChecksum: UInt32
    package var rawChecksum: UInt32
    package private(set) var checksum: UInt32 = 0

    package enum Codec: UInt8, Sendable {
        case raw = 0
        case zlib = 1
    }

    package enum Content: UInt8, Sendable {
        case entries = 0
        case namespaces = 1
    }

    package static let byteCount = 48
    static let magic: UInt32 = 0x4B4C_424C  // "LBLK" as bytes
    /// How many bytes of entries make a block full.
    static let fullBytes = 256 << 10
    /// No block is longer before compression: a full one and one largest record. A snapshot is not to be trusted.
    package static let rawBytesMax = fullBytes + LogRecord.bytesMax + 1

    mutating func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(littleEndian: Self.magic)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: number)
        buffer.append(littleEndian: snapshot)
        buffer.append(littleEndian: entryCount)
        buffer.append(littleEndian: UInt32(rawBytes))
        buffer.append(littleEndian: UInt32(storedBytes))
        buffer.append(byte: codec.rawValue)
        buffer.append(byte: content.rawValue)
        buffer.append(zeros: 2)
        buffer.append(littleEndian: storedChecksum)
        buffer.append(littleEndian: rawChecksum)
        buffer.append(zeros: 8)
        checksum = Checksum.of(buffer.span(ByteRange(start: start + 8, count: Self.byteCount - 8)))
        buffer.overwrite(at: start + 4, littleEndian: checksum)
    }

    /// - Parameter number: Of the block, in the order in which they are written.
    init(_ block: borrowing SnapshotBlock, number: UInt32, snapshot: UInt32) {
        self.number = number
        self.snapshot = snapshot
        entryCount = UInt32(block.entryCount)
        content = block.content
        codec = block.codec
        rawChecksum = block.rawChecksum
        storedChecksum = block.storedChecksum
        rawBytes = block.raw.count
        storedBytes = block.stored.byteCount
    }

    /// The header at the start of `bytes`, or nil when it is not an undamaged one within the limits.
    package init?(parsing bytes: RawSpan) {
        guard bytes.byteCount >= Self.byteCount, bytes.littleEndian(at: 0, as: UInt32.self) == Self.magic else { return nil }
        checksum = bytes.littleEndian(at: 4, as: UInt32.self)
        guard Checksum.of(bytes.extracting(8..<Self.byteCount)) == checksum,
            let codec = Codec(rawValue: bytes.byte(at: 28)), let content = Content(rawValue: bytes.byte(at: 29))
        else { return nil }
        self.codec = codec
        self.content = content
        number = bytes.littleEndian(at: 8, as: UInt32.self)
        snapshot = bytes.littleEndian(at: 12, as: UInt32.self)
        entryCount = bytes.littleEndian(at: 16, as: UInt32.self)
        rawBytes = Int(bytes.littleEndian(at: 20, as: UInt32.self))
        storedBytes = Int(bytes.littleEndian(at: 24, as: UInt32.self))
        guard rawBytes <= Self.rawBytesMax, codec == .raw ? storedBytes == rawBytes : storedBytes < rawBytes else { return nil }
        storedChecksum = bytes.littleEndian(at: 32, as: UInt32.self)
        rawChecksum = bytes.littleEndian(at: 36, as: UInt32.self)
    }
}

// MARK: Coding

/// A block on its way into a file: its entries, and what is stored for them.
struct SnapshotBlock: ~Copyable, Sendable {
    var raw = ByteBuffer()
    var entryCount = 0
    var content = SnapshotBlockHeader.Content.entries
    fileprivate private(set) var compressed = ByteBuffer()
    fileprivate private(set) var codec = SnapshotBlockHeader.Codec.raw
    fileprivate private(set) var rawChecksum: UInt32 = 0
    fileprivate private(set) var storedChecksum: UInt32 = 0

    private static let sampleBytes = 4_096
    /// A sample that keeps more than this share of its length, in tenths, is not worth the time.
    private static let keptTenthsMax = 9

    /// Computes what is stored.
    mutating func compress(with deflater: inout Deflater) {
        precondition(raw.count <= SnapshotBlockHeader.rawBytesMax, "block is too long")
        rawChecksum = Checksum.of(raw.bytes)
        var output = ByteBuffer()
        swap(&output, &compressed)
        output.removeAll()
        codec = Self.shrinks(raw.bytes, with: &deflater, into: &output) ? .zlib : .raw
        storedChecksum = codec == .zlib ? Checksum.of(output.bytes) : rawChecksum
        swap(&output, &compressed)
    }

    private static func shrinks(_ raw: RawSpan, with deflater: inout Deflater, into output: inout ByteBuffer) -> Bool {
        if raw.byteCount > sampleBytes {
            let sample = raw.extracting(0..<sampleBytes)
            guard deflater.compress(sample, into: &output, limit: sampleBytes * keptTenthsMax / 10) else { return false }
            output.removeAll()
        }
        return deflater.compress(raw, into: &output, limit: max(raw.byteCount - 1, 1))
    }

    var stored: RawSpan {
        @_lifetime(borrow self) get { codec == .zlib ? compressed.bytes : raw.bytes }
    }

    mutating func removeAll() {
        raw.removeAll()
        compressed.removeAll()
        entryCount = 0
    }
}

extension SnapshotBlockHeader {
    /// Whether `stored` is what the header was written for.
    func matches(stored: RawSpan) -> Bool {
        stored.byteCount == storedBytes && Checksum.of(stored) == storedChecksum
    }

    /// Appends the entries of the block to `output`, or says what is wrong with `stored`.
    func decode(_ stored: RawSpan, with inflater: inout Inflater, into output: inout ByteBuffer) -> SnapshotFault? {
        guard matches(stored: stored) else { return .blockChecksum }
        let before = output.count
        switch codec {
        case .raw: output.append(stored)
        case .zlib: guard inflater.inflate(stored, into: &output, count: rawBytes) else { return .blockInflation }
        }
        let raw = output.span(ByteRange(start: before, count: output.count - before))
        return Checksum.of(raw) == rawChecksum ? nil : .blockInflation
    }
}
