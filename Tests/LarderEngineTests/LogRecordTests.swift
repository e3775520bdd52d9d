import LarderBytes
import LarderEngine
import Testing

@Suite("Log record") struct LogRecordTests {
    /// A copy of a record that can be kept and compared.
    struct Copy: Equatable {
        var operation: LogOperation
        var lsn: UInt64
        var namespace: UInt32
        var deadline: Int64
        var key: [UInt8]
        var metadata: [UInt8]
        var value: [UInt8]

        init(_ record: borrowing LogRecord) {
            operation = record.operation
            lsn = record.lsn.rawValue
            namespace = record.namespace
            deadline = record.deadline.rawValue
            key = Array(record.key)
            metadata = Array(record.metadata)
            value = Array(record.value)
        }
    }

    private func parse(_ bytes: [UInt8]) -> Result<Copy, LogRecordError> {
        Result { () throws(LogRecordError) -> Copy in
            let record = try LogRecord(parsing: bytes.span.bytes)
            return Copy(record)
        }
    }

    private static let key = Array("user/1".utf8)
    /// Content type "a/b", and an item with a tag that nobody knows.
    private static let metadata: [UInt8] = [1, 3, 0] + Array("a/b".utf8) + [200, 1, 0, 0xFF]
    private static let value = Array("hello".utf8)

    private func encoded(_ operation: LogOperation = .set) -> [UInt8] {
        let (key, metadata, value) = (Self.key, Self.metadata, Self.value)
        var buffer = ByteBuffer()
        let record = LogRecord(
            operation, lsn: LSN(rawValue: 0x0102_0304_0506_0708), namespace: 0x0A0B_0C0D,
            deadline: Deadline(rawValue: 0x0000_01F2_F3F4_F5F6), key: key.span.bytes,
            metadata: metadata.span.bytes, value: value.span.bytes)
        record.append(to: &buffer)
        return Array(buffer.bytes)
    }

    private static let body = key + metadata + value
    /// Written by hand from the table at the head of LogRecord.swift: bytes 4 to 39.
    private static let header: [UInt8] = [
        0x3D, 0x00, 0x00, 0x00,  // length: 40 + 6 + 10 + 5 = 61
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,  // LSN
        0x01, 0x01,  // set, has a deadline
        0x06, 0x00,  // length of the key
        0x0D, 0x0C, 0x0B, 0x0A,  // namespace
        0xF6, 0xF5, 0xF4, 0xF3, 0xF2, 0x01, 0x00, 0x00,  // deadline
        0x05, 0x00, 0x00, 0x00,  // length of the value
        0x0A, 0x00, 0x00, 0x00,  // length of the metadata
    ]

    private func checksum(_ pieces: [UInt8]...) -> [UInt8] {
        let joined = pieces.flatMap { $0 }
        let sum = Checksum.withoutInstruction(joined.span.bytes)
        return (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) }
    }

    @Test func `every byte is where the layout says`() {
        #expect(encoded() == checksum(Self.body, Self.header) + Self.header + Self.body)
    }

    @Test func `the checksum is this one for good`() {
        // Computed once by an independent implementation of CRC-32C.
        #expect(Array(encoded().prefix(4)) == Self.knownChecksum)
    }
    private static let knownChecksum: [UInt8] = [0x76, 0x7B, 0xF2, 0x87]

    @Test func `what was written is read`() throws {
        let copy = try parse(encoded()).get()
        #expect(copy.operation == .set)
        #expect(copy.lsn == 0x0102_0304_0506_0708)
        #expect(copy.namespace == 0x0A0B_0C0D)
        #expect(copy.deadline == 0x0000_01F2_F3F4_F5F6)
        #expect(copy.key == Self.key)
        #expect(copy.metadata == Self.metadata)
        #expect(copy.value == Self.value)
    }

    @Test func `every single flipped bit is noticed`() {
        let whole = encoded()
        for bit in 0..<(whole.count * 8) {
            var damaged = whole
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            if case .success = parse(damaged) { Issue.record("bit \(bit) was not noticed") }
        }
    }

    @Test func `a record cut at any byte is refused, with how much it takes`() {
        let whole = encoded()
        for count in 0..<whole.count {
            let needed = count < 40 ? 40 : whole.count
            #expect(parse(Array(whole[..<count])) == .failure(.truncated(needed: needed)))
        }
    }

    @Test func `bytes behind a record are not looked at`() {
        #expect(parse(encoded() + [1, 2, 3]) == parse(encoded()))
    }

    /// A record with `bytes` changed and the checksum made right again.
    private func forged(_ changes: [(at: Int, byte: UInt8)]) -> [UInt8] {
        var bytes = encoded()
        for change in changes { bytes[change.at] = change.byte }
        let sum = checksum(Array(bytes[40...]), Array(bytes[4..<40]))
        bytes.replaceSubrange(0..<4, with: sum)
        return bytes
    }

    @Test func `lengths that contradict each other are refused`() {
        #expect(parse(forged([(18, 7)])) == .failure(.lengthInvalid))
        #expect(parse(forged([(32, 6)])) == .failure(.lengthInvalid))
        #expect(parse(forged([(35, 0xFF)])) == .failure(.lengthInvalid))
        #expect(parse(forged([(36, 9)])) == .failure(.lengthInvalid))
        #expect(parse(forged([(4, 39)])) == .failure(.lengthInvalid))
        #expect(parse(forged([(7, 0xFF)])) == .failure(.lengthInvalid))
    }

    @Test func `an operation from the future is refused unless it may be stepped over`() throws {
        #expect(parse(forged([(16, 0x40)])) == .failure(.operationUnknown(0x40)))
        let skipped = try parse(forged([(16, 0xC0)])).get()
        #expect(skipped.operation == .noop)
    }

    @Test func `metadata that is no sequence of items is refused`() {
        #expect(parse(forged([(47, 8)])) == .failure(.metadataMalformed))
    }

    private func item(_ tag: UInt8) -> [UInt8]? {
        let metadata = Self.metadata
        guard let item = Metadata.item(tag, in: metadata.span.bytes) else { return nil }
        return Array(item)
    }

    @Test func `metadata is found by its tag`() {
        #expect(item(Metadata.contentType) == Array("a/b".utf8))
        #expect(item(200) == [0xFF])
        #expect(item(Metadata.clientFlags) == nil)
    }

    @Test func `metadata is written as it is read`() {
        var buffer = ByteBuffer()
        Metadata.append(Metadata.contentType, "a/b".utf8.span.bytes, to: &buffer)
        Metadata.append(200, ([0xFF] as [UInt8]).span.bytes, to: &buffer)
        let held = Array(buffer.bytes)
        #expect(held == Self.metadata)
    }

    @Test func `a snapshot entry is the record without its checksum, and a byte for the last use`() throws {
        var buffer = ByteBuffer()
        let whole = encoded()
        let record = try LogRecord(parsing: whole.span.bytes)
        record.appendSnapshotEntry(to: &buffer, access: 0x5A)
        let held = Array(buffer.bytes)
        #expect(held == Self.header + Self.body + [0x5A])
        let length = record.snapshotByteCount
        #expect(length == held.count)

        var access: UInt8 = 0
        let read = try LogRecord(parsingSnapshotEntry: held.span.bytes, access: &access)
        #expect(access == 0x5A)
        #expect(Copy(read) == Copy(record))
    }

    private func parseEntry(_ bytes: [UInt8]) -> Result<Copy, LogRecordError> {
        Result { () throws(LogRecordError) -> Copy in
            var access: UInt8 = 0
            let record = try LogRecord(parsingSnapshotEntry: bytes.span.bytes, access: &access)
            return Copy(record)
        }
    }

    @Test func `a snapshot entry cut at any byte is refused`() {
        var whole = Array(encoded()[4...]) + [0x5A]
        for count in 0..<whole.count {
            let needed = count < 37 ? 37 : whole.count
            #expect(parseEntry(Array(whole[..<count])) == .failure(.truncated(needed: needed)))
        }
        whole[0] -= 1
        #expect(parseEntry(whole) == .failure(.lengthInvalid))
    }

    @Test(arguments: Seeds.smoke) func `bytes of any kind never trap`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            var bytes = (0..<Int.random(in: 0..<96, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if bytes.count > 8 { bytes.replaceSubrange(4..<8, with: [UInt8(bytes.count), 0, 0, 0]) }
            _ = parse(bytes)
            _ = parseEntry(bytes)
        }
    }
}
