// Records on their way from one who reads to one who applies.
//
// As snapshot entries: whoever put them in has checked them, so they carry no checksum. Each comes with the number that the
// state gave it, so that the memory of those ahead is asked for while one is applied.

import LarderBytes
import LarderEngine

/// Some records, in order.
struct RecordBatch: ~Copyable, Sendable {
    var bytes = ByteBuffer()
    var numbers: [UInt64] = []

    var isFull: Bool { bytes.count >= Self.fullBytes }
    var isEmpty: Bool { numbers.isEmpty }

    /// Little enough to stay in a processor's cache, enough that handing it over costs nothing beside applying it.
    private static let fullBytes = 128 << 10

    mutating func append(_ record: borrowing LogRecord, number: UInt64) {
        record.appendSnapshotEntry(to: &bytes, access: 0)
        numbers.append(number)
    }

    mutating func removeAll() {
        bytes.removeAll()
        numbers.removeAll(keepingCapacity: true)
    }

    func apply(to state: any RestorableState) { Self.apply(bytes.bytes, numbers, to: state) }

    /// Applies the entries in `bytes`, of which each has its number.
    static func apply(_ bytes: RawSpan, _ numbers: [UInt64], to state: any RestorableState) {
        for number in numbers.prefix(Self.far) { state.prefetch(number, isNear: false) }
        var position = 0
        for index in numbers.indices {
            if index + far < numbers.count { state.prefetch(numbers[index + far], isNear: false) }
            if index + near < numbers.count { state.prefetch(numbers[index + near], isNear: true) }
            do throws(LogRecordError) {
                var access: UInt8 = 0
                let record = try LogRecord(parsingSnapshotEntry: bytes.extracting(position..<bytes.byteCount), access: &access)
                position += record.snapshotByteCount
                state.apply(record, access: access)
            } catch {
                // It was a record when it got its number.
                preconditionFailure("a record has changed in memory")
            }
        }
    }

    /// How many records ahead a bucket is asked for, and how many an entry, which needs the bucket.
    private static let far = 16
    private static let near = 6
}
