// One change of the store as bytes: the same in the log and, but for its checksum, in a snapshot.
//
// Knows the layout and whether bytes are whole; not what applying a record does, nor where records lie.
//
//      0  u32  CRC-32C over key, metadata, value, then bytes 4..39, in that order
//      4  u32  length of the record, header included
//      8  u64  LSN
//     16  u8   operation; bit 7: a reader that does not know it may step over it
//     17  u8   flags: bit 0 the entry has a deadline
//     18  u16  length of the key
//     20  u32  namespace number
//     24  i64  deadline, Unix milliseconds, 0 for none
//     32  u32  length of the value
//     36  u32  length of the metadata
//     40       key, metadata, value
//
// All integers are little-endian. The checksum takes the body first so that it can be computed before the LSN is known.

import LarderBytes
import LarderPlatform

/// What a record does. The raw values are the bytes on disk.
@frozen @usableFromInline
package enum LogOperation: UInt8, Sendable, CaseIterable {
    /// The entry's whole state.
    case set = 1
    case remove = 2
    /// A new deadline for an entry that exists; nothing when it does not.
    case deadline = 3
    case namespaceCreate = 16
    case namespaceState = 17
    case namespaceFlush = 18
    case namespaceDrop = 19
    /// Changes nothing. Also what a reader sees in place of a record that it may step over.
    case noop = 32

    /// Whether the state holds less afterwards, whatever it held.
    var onlyRemoves: Bool {
        switch self {
        case .remove, .namespaceFlush, .namespaceDrop: true
        default: false
        }
    }

    /// The bit of an operation that may be stepped over by a reader that does not know it.
    package static let skippableBit: UInt8 = 0x80
}

/// Why bytes are not a record.
package enum LogRecordError: Error, Equatable, Sendable {
    /// The bytes end before the record does. `needed` is how many it takes, as far as can be told.
    case truncated(needed: Int)
    /// The lengths in the header contradict each other, or exceed `LogRecord.bytesMax`.
    case lengthInvalid
    case checksumMismatch
    /// An operation that this version does not know and must not step over.
    case operationUnknown(UInt8)
    /// The metadata is not a sequence of tag, length, bytes.
    case metadataMalformed
}

/// A record, as views of bytes that lie somewhere else.
package struct LogRecord: ~Escapable {
    package var operation: LogOperation
    package var lsn: LSN
    package var namespace: UInt32
    package var deadline: Deadline
    package let key: RawSpan
    package let metadata: RawSpan
    package let value: RawSpan

    package static let headerBytes = 40
    /// No record is longer; a frame of the log holds at least one.
    package static let bytesMax = 32 << 20
    /// What an entry of a snapshot has besides key, metadata and value.
    package static let snapshotOverheadBytes = headerBytes - checksumBytes + 1
    static let checksumBytes = 4
    static let deadlineFlag: UInt8 = 1

    @_lifetime(copy key, copy metadata, copy value)
    package init(
        _ operation: LogOperation, lsn: LSN = .zero, namespace: UInt32, deadline: Deadline = .never,
        key: RawSpan, metadata: RawSpan, value: RawSpan
    ) {
        self.operation = operation
        self.lsn = lsn
        self.namespace = namespace
        self.deadline = deadline
        self.key = key
        self.metadata = metadata
        self.value = value
    }

    /// The length of the record in the log.
    package var byteCount: Int { Self.headerBytes &+ bodyBytes }
    /// The length of the record as an entry of a snapshot: no checksum, one byte for when it was last used.
    package var snapshotByteCount: Int { Self.snapshotOverheadBytes &+ bodyBytes }

    private var bodyBytes: Int { key.byteCount &+ metadata.byteCount &+ value.byteCount }

    /// The checksum of what the LSN is not part of, to be computed before the log is locked.
    package var bodyChecksum: Checksum {
        var checksum = Checksum()
        checksum.update(key)
        checksum.update(metadata)
        checksum.update(value)
        return checksum
    }
}

// MARK: Reading

extension LogRecord {
    /// The record at the start of `bytes`; its `byteCount` says where the next one begins.
    ///
    /// - Throws: `LogRecordError` for anything but a whole and undamaged record. Never traps.
    @_lifetime(copy bytes)
    package init(parsing bytes: RawSpan) throws(LogRecordError) {
        guard bytes.byteCount >= Self.headerBytes else { throw .truncated(needed: Self.headerBytes) }
        let length = Int(bytes.littleEndian(at: 4, as: UInt32.self))
        guard length >= Self.headerBytes, length <= Self.bytesMax else { throw .lengthInvalid }
        guard length <= bytes.byteCount else { throw .truncated(needed: length) }
        var checksum = Checksum()
        checksum.update(bytes.extracting(Self.headerBytes..<length))
        checksum.update(bytes.extracting(Self.checksumBytes..<Self.headerBytes))
        guard checksum.value == bytes.littleEndian(at: 0, as: UInt32.self) else { throw .checksumMismatch }
        try self.init(header: bytes.extracting(Self.checksumBytes..<Self.headerBytes), body: bytes.extracting(Self.headerBytes..<length))
    }

    /// The entry at the start of `bytes`, as `appendSnapshotEntry` wrote it; its `snapshotByteCount` says where the next
    /// one begins. The block that it lies in has the checksum.
    @_lifetime(copy bytes)
    package init(parsingSnapshotEntry bytes: RawSpan, access: inout UInt8) throws(LogRecordError) {
        let header = Self.headerBytes - Self.checksumBytes
        guard bytes.byteCount > header else { throw .truncated(needed: header + 1) }
        let length = Int(bytes.littleEndian(at: 0, as: UInt32.self))
        guard length >= Self.headerBytes, length <= Self.bytesMax else { throw .lengthInvalid }
        let end = length - Self.checksumBytes
        guard end < bytes.byteCount else { throw .truncated(needed: end + 1) }
        access = bytes.byte(at: end)
        try self.init(header: bytes.extracting(0..<header), body: bytes.extracting(header..<end))
    }

    /// - Parameter header: Bytes 4 to 39 of a record.
    @_lifetime(copy header, copy body)
    private init(header: RawSpan, body: RawSpan) throws(LogRecordError) {
        let keyCount = Int(header.littleEndian(at: 14, as: UInt16.self))
        let valueCount = Int(header.littleEndian(at: 28, as: UInt32.self))
        let metadataCount = Int(header.littleEndian(at: 32, as: UInt32.self))
        // Cannot overflow: 16 and 32 bits in a word of 64.
        guard keyCount + metadataCount + valueCount == body.byteCount else { throw .lengthInvalid }
        let code = header.byte(at: 12)
        if let known = LogOperation(rawValue: code) {
            operation = known
        } else if code & LogOperation.skippableBit != 0 {
            operation = .noop
        } else {
            throw .operationUnknown(code)
        }
        lsn = LSN(rawValue: header.littleEndian(at: 4, as: UInt64.self))
        namespace = header.littleEndian(at: 16, as: UInt32.self)
        deadline = Deadline(rawValue: header.littleEndian(at: 20, as: Int64.self))
        key = body.extracting(0..<keyCount)
        metadata = body.extracting(keyCount..<(keyCount + metadataCount))
        value = body.extracting((keyCount + metadataCount)..<body.byteCount)
        guard operation == .noop || Metadata.isWellFormed(metadata) else { throw .metadataMalformed }
    }
}

// MARK: Writing

extension LogRecord {
    /// Appends the record, checksum included.
    package func append(to buffer: inout ByteBuffer) {
        append(to: &buffer, lsn: lsn, bodyChecksum: bodyChecksum)
    }

    /// Appends the record under another LSN, with the checksum of its body already known: sums 36 bytes, copies the rest.
    ///
    /// - Parameter withValue: false: the value, which ends the record, is left out.
    func append(to buffer: inout ByteBuffer, lsn: LSN, bodyChecksum: Checksum, withValue: Bool = true) {
        buffer.reserve(byteCount &- (withValue ? 0 : value.byteCount))
        let start = buffer.count
        buffer.append(littleEndian: UInt32(0))
        appendHeader(to: &buffer, lsn: lsn)
        var checksum = bodyChecksum
        checksum.update(buffer.span(ByteRange(start: start &+ Self.checksumBytes, count: Self.headerBytes &- Self.checksumBytes)))
        buffer.overwrite(at: start, littleEndian: checksum.value)
        buffer.append(key)
        buffer.append(metadata)
        if withValue { buffer.append(value) }
    }

    /// Appends the record as an entry of a snapshot.
    ///
    /// - Parameter access: How the entry was used; see `AccessByte`.
    package func appendSnapshotEntry(to buffer: inout ByteBuffer, access: UInt8) {
        appendSnapshotHead(to: &buffer)
        buffer.append(value)
        buffer.append(byte: access)
    }

    /// Appends what comes before the value in an entry of a snapshot, and makes room for the rest, which is the value and one byte.
    func appendSnapshotHead(to buffer: inout ByteBuffer) {
        buffer.reserve(snapshotByteCount)
        appendHeader(to: &buffer, lsn: lsn)
        buffer.append(key)
        buffer.append(metadata)
    }

    private func appendHeader(to buffer: inout ByteBuffer, lsn: LSN) {
        precondition(byteCount <= Self.bytesMax && key.byteCount <= Int(UInt16.max), "record is too long")
        buffer.append(littleEndian: UInt32(truncatingIfNeeded: byteCount))
        buffer.append(littleEndian: lsn.rawValue)
        let flags: UInt8 = deadline.isNever ? 0 : Self.deadlineFlag
        let kind = UInt64(operation.rawValue) | UInt64(flags) << 8 | UInt64(UInt16(truncatingIfNeeded: key.byteCount)) << 16
        buffer.append(littleEndian: kind | UInt64(namespace) << 32)
        buffer.append(littleEndian: deadline.rawValue)
        buffer.append(littleEndian: UInt64(UInt32(truncatingIfNeeded: value.byteCount)) | UInt64(truncatingIfNeeded: metadata.byteCount) << 32)
    }}
