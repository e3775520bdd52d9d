// What a run was promised, in a file: a head, then 32 bytes for each acknowledgement. docs/load.md is the contract.
//
// Each record has its own checksum, so a file that was cut anywhere, or has a hole, is read as far as it is good.

import LarderBytes

/// The head: how the keys are spelled, and what the writes may have been.
package struct AcknowledgementHead: Equatable, Sendable {
    package static let byteCount = 320
    static let magic: UInt64 = 0x3130_4B43_4144_414C
    private static let prefixAt = 64

    /// Tells the values of one run from those of another.
    package var run: UInt32
    package var keyCount: UInt64
    package var keys: KeyFormat
    package var mayRemove: Bool
    package var mayExpire: Bool

    package init(run: UInt32, keyCount: UInt64, keys: KeyFormat, mayRemove: Bool, mayExpire: Bool) {
        self.run = run
        self.keyCount = keyCount
        self.keys = keys
        self.mayRemove = mayRemove
        self.mayExpire = mayExpire
    }

    package func append(to output: inout ByteBuffer) {
        let start = output.count
        output.append(littleEndian: Self.magic)
        output.append(littleEndian: UInt32(0))
        output.append(littleEndian: run)
        output.append(littleEndian: keyCount)
        output.append(littleEndian: UInt16(keys.length))
        output.append(littleEndian: UInt16(keys.prefix.count))
        output.append(littleEndian: UInt32((mayRemove ? 1 : 0) | (mayExpire ? 2 : 0)))
        output.append(zeros: Self.prefixAt - (output.count - start))
        output.append(keys.prefix.rawSpan)
        output.append(zeros: Self.byteCount - (output.count - start))
        output.overwrite(at: start + 8, littleEndian: Self.checksum(output.bytes.slice(start, Self.byteCount)))
    }

    /// The head that `bytes` begin with; nil when they begin with none.
    package init?(parsing bytes: RawSpan) {
        guard bytes.byteCount >= Self.byteCount, bytes.littleEndian(at: 0, as: UInt64.self) == Self.magic,
            bytes.littleEndian(at: 8, as: UInt32.self) == Self.checksum(bytes.slice(0, Self.byteCount))
        else { return nil }
        let prefixBytes = Int(bytes.littleEndian(at: 26, as: UInt16.self))
        keyCount = bytes.littleEndian(at: 16, as: UInt64.self)
        guard prefixBytes <= Self.byteCount - Self.prefixAt, keyCount >= 1, keyCount <= KeyState.keysMax,
            let keys = KeyFormat(
                prefix: String(utf8: bytes.slice(Self.prefixAt, prefixBytes)),
                length: Int(bytes.littleEndian(at: 24, as: UInt16.self)), count: keyCount)
        else { return nil }
        self.keys = keys
        run = bytes.littleEndian(at: 12, as: UInt32.self)
        let flags = bytes.littleEndian(at: 28, as: UInt32.self)
        mayRemove = flags & 1 != 0
        mayExpire = flags & 2 != 0
    }

    private static func checksum(_ head: RawSpan) -> UInt32 {
        var checksum = Checksum()
        checksum.update(head.slice(0, 8))
        checksum.update(head.slice(12, byteCount - 12))
        return checksum.value
    }
}

/// One record.
package struct Acknowledgement: Equatable, Sendable {
    package enum Kind: UInt8, Sendable {
        case set = 1
        case removal = 2
        /// Sent, and never answered, or answered with a refusal.
        case setUnanswered = 3
        case removalUnanswered = 4
        /// The run ended in order: everything that was sent is in the file.
        case end = 5
    }

    package static let byteCount = 32

    package var kind: Kind
    package var key: UInt32
    package var sequence: UInt32
    /// Unix milliseconds; `.max`: never.
    package var dueFrom: Int64
    package var dueTo: Int64

    package init(_ kind: Kind, key: UInt32, sequence: UInt32, dueFrom: Int64 = .max, dueTo: Int64 = .max) {
        self.kind = kind
        self.key = key
        self.sequence = sequence
        self.dueFrom = dueFrom
        self.dueTo = dueTo
    }

    package func append(run: UInt32, to output: inout ByteBuffer) {
        let start = output.count
        output.append(littleEndian: UInt32(kind.rawValue))
        output.append(littleEndian: UInt32(0))
        output.append(littleEndian: key)
        output.append(littleEndian: sequence)
        output.append(littleEndian: dueFrom)
        output.append(littleEndian: dueTo)
        output.overwrite(at: start + 4, littleEndian: Self.checksum(output.bytes.slice(start, Self.byteCount), run: run))
    }

    /// The record that `bytes` are; nil when they are none of this run.
    package init?(parsing bytes: RawSpan, run: UInt32) {
        guard bytes.byteCount == Self.byteCount, let kind = Kind(rawValue: bytes.byte(at: 0)),
            bytes.littleEndian(at: 4, as: UInt32.self) == Self.checksum(bytes, run: run)
        else { return nil }
        self.kind = kind
        key = bytes.littleEndian(at: 8, as: UInt32.self)
        sequence = bytes.littleEndian(at: 12, as: UInt32.self)
        dueFrom = bytes.littleEndian(at: 16, as: Int64.self)
        dueTo = bytes.littleEndian(at: 24, as: Int64.self)
    }

    private static func checksum(_ record: RawSpan, run: UInt32) -> UInt32 {
        var checksum = Checksum()
        checksum.update(record.slice(0, 4))
        checksum.update(record.slice(8, byteCount - 8))
        return checksum.value ^ run
    }
}

/// What a file says, key by key.
package struct Promises: Sendable {
    package let head: AcknowledgementHead
    /// By index of the key.
    package private(set) var states: [KeyState]
    package private(set) var acknowledgements = 0
    package private(set) var unanswered = 0
    /// Records, or parts of one, that are not good.
    package private(set) var damagedRecords = 0
    /// Whether the run that wrote it could say what was in flight.
    package private(set) var isComplete = false

    package init(head: AcknowledgementHead) {
        self.head = head
        states = [KeyState](repeating: KeyState(), count: Int(head.keyCount))
    }

    /// Takes the records in `bytes`; a part of one at the end counts as damaged.
    package mutating func read(_ bytes: RawSpan) {
        var position = 0
        while position < bytes.byteCount {
            let count = min(Acknowledgement.byteCount, bytes.byteCount - position)
            if let record = Acknowledgement(parsing: bytes.slice(position, count), run: head.run), UInt64(record.key) < head.keyCount {
                take(record)
            } else {
                damagedRecords += 1
            }
            position += count
        }
    }

    private mutating func take(_ record: Acknowledgement) {
        let index = Int(record.key)
        switch record.kind {
        case .set:
            acknowledgements += 1
            states[index].acknowledge(record.sequence, .set, dueFrom: record.dueFrom, dueTo: record.dueTo)
        case .removal:
            acknowledgements += 1
            states[index].acknowledge(record.sequence, .delete, dueFrom: .max, dueTo: .max)
        case .setUnanswered:
            unanswered += 1
            states[index].note(record.sequence, .set, dueFrom: record.dueFrom)
        case .removalUnanswered:
            unanswered += 1
            states[index].note(record.sequence, .delete, dueFrom: .max)
        case .end: isComplete = true
        }
    }

    /// All records were read.
    package mutating func finish() {
        guard !isComplete || damagedRecords > 0 else { return }
        for index in states.indices where states[index].sequence != 0 { states[index].leaveOpen() }
    }

    /// The keys that something is promised of.
    package var promisedKeys: [UInt32] {
        states.indices.filter { states[$0].acknowledged != .nothing }.map { UInt32($0) }
    }

    /// How many keys may have gone by writes that the file does not tell of: one for each damaged record, and any number where
    /// the end is missing.
    package var unclearMax: Int {
        guard head.mayRemove || head.mayExpire else { return 0 }
        return isComplete ? damagedRecords : .max
    }
}
