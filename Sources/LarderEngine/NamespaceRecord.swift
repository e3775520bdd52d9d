// A namespace as the log and the snapshot write it: the whole state, so that any later record replaces any earlier one.
//
// The key of such a log record is the name; this is its value, 48 bytes, little-endian but for the id:
//
//     0  layout, 1                     8  id, 16 bytes as a UUID prints them
//     1  state                        24  created, Unix milliseconds
//     2  durability                   32  LSN of the last flush
//     3  key rule                     40  how many bytes its entries may take, 7 bytes; 0 for no limit
//     4  how many numbers were given  47  eviction
//
// A reader takes the fields that it knows and ignores what follows them.

import LarderBytes
import LarderPlatform

/// A namespace's 128-bit id: a UUID as two big-endian words.
@frozen @usableFromInline
package struct NamespaceID: Hashable, Sendable {
    @usableFromInline package var high: UInt64
    @usableFromInline package var low: UInt64

    @inlinable package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// How far a namespace has come in its life. The raw values stand in log records.
@frozen @usableFromInline
package enum NamespaceState: UInt8, Sendable, CaseIterable {
    /// It exists but takes no keys yet.
    case pending = 0
    case ready = 1
    /// Dropped: takes no keys; its memory is being given back.
    case deleting = 2
}

/// What a namespace record says, without the name.
package struct NamespaceRecord: Equatable, Sendable {
    package var id: NamespaceID
    package var state: NamespaceState
    package var settings: NamespaceSettings
    package var created: Milliseconds
    package var flushLSN: LSN
    /// How many namespace numbers the server had given when this was written, so that none is given twice.
    package var numbersGiven: UInt32

    package static let byteCount = 48
    static let layout: UInt8 = 1

    package func append(to buffer: inout ByteBuffer) {
        buffer.append(byte: Self.layout)
        buffer.append(byte: state.rawValue)
        buffer.append(byte: settings.durability.rawValue)
        buffer.append(byte: settings.keyRule.rawValue)
        buffer.append(littleEndian: numbersGiven)
        buffer.append(littleEndian: id.high.byteSwapped)
        buffer.append(littleEndian: id.low.byteSwapped)
        buffer.append(littleEndian: created)
        buffer.append(littleEndian: flushLSN.rawValue)
        buffer.append(littleEndian: UInt64(settings.bytesMax) | UInt64(settings.eviction.rawValue) << 56)
    }

    /// - Returns: nil when the bytes are too few, of another layout, or name a state or setting that is not known.
    package init?(parsing bytes: RawSpan) {
        guard bytes.byteCount >= Self.byteCount, bytes.byte(at: 0) == Self.layout,
            let state = NamespaceState(rawValue: bytes.byte(at: 1)),
            let durability = Durability(rawValue: bytes.byte(at: 2)),
            let keyRule = KeyRule(rawValue: bytes.byte(at: 3)), let eviction = Eviction(rawValue: bytes.byte(at: 47))
        else { return nil }
        self.state = state
        let bytesMax = Int(bytes.littleEndian(at: 40, as: UInt64.self) & UInt64(NamespaceSettings.bytesMaxMax))
        settings = NamespaceSettings(durability: durability, keyRule: keyRule, eviction: eviction, bytesMax: bytesMax)
        numbersGiven = bytes.littleEndian(at: 4, as: UInt32.self)
        id = NamespaceID(
            high: bytes.littleEndian(at: 8, as: UInt64.self).byteSwapped,
            low: bytes.littleEndian(at: 16, as: UInt64.self).byteSwapped)
        created = bytes.littleEndian(at: 24, as: Int64.self)
        flushLSN = LSN(rawValue: bytes.littleEndian(at: 32, as: UInt64.self))
    }

    package init(
        id: NamespaceID, state: NamespaceState, settings: NamespaceSettings, created: Milliseconds,
        flushLSN: LSN = .zero, numbersGiven: UInt32
    ) {
        self.id = id
        self.state = state
        self.settings = settings
        self.created = created
        self.flushLSN = flushLSN
        self.numbersGiven = numbersGiven
    }
}
