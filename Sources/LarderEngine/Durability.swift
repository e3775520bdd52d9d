// How much a reply promises, and what else a namespace is set to.
//
// A room of its own words: the wire has its own enumerations and the server translates.

/// What a reply to a write has to wait for. The raw values stand in log records.
@frozen @usableFromInline
package enum Durability: UInt8, Sendable, CaseIterable {
    /// The record is on the medium.
    case always = 0
    /// The record is with the kernel; the medium follows within a bounded time.
    case interval = 1
    /// The record is with the kernel.
    case never = 2
    /// Nothing: writes are not logged, and a restart finds what the last snapshot held.
    case off = 3
}

/// What happens when a namespace is full. The raw values stand in log records.
@frozen @usableFromInline
package enum Eviction: UInt8, Sendable, CaseIterable {
    /// Writes that would make it larger are refused.
    case none = 0
    /// Entries that are used little make room.
    case s3fifo = 1
}

/// What a namespace is set to. Part of its records in the log.
@frozen @usableFromInline
package struct NamespaceSettings: Equatable, Hashable, Sendable {
    @usableFromInline package var durability: Durability
    @usableFromInline package var keyRule: KeyRule
    @usableFromInline package var eviction: Eviction
    /// How much memory its entries may take, in bytes; 0 for no limit but the store's. At most `bytesMaxMax`.
    @usableFromInline package var bytesMax: Int

    /// Limits that make sense: from some thousands of entries on, so that each shard has some.
    package static let bytesMaxRange = 1 << 20...bytesMaxMax

    /// What fits in the seven bytes that a record has for it, and is more than any memory.
    package static let bytesMaxMax = 1 << 56 - 1

    @inlinable package init(
        durability: Durability = .always, keyRule: KeyRule = .path, eviction: Eviction = .none, bytesMax: Int = 0
    ) {
        self.durability = durability
        self.keyRule = keyRule
        self.eviction = eviction
        self.bytesMax = bytesMax
    }

    /// All settings in one word, so that they are read and changed as one; of the number only whether there is one.
    var word: UInt32 {
        UInt32(durability.rawValue) | UInt32(keyRule.rawValue) << 8 | UInt32(eviction.rawValue) << 16
            | (bytesMax == 0 ? 0 : Self.isLimitedBit)
    }

    static let isLimitedBit: UInt32 = 1 << 24
    static let evictionMask: UInt32 = 0xFF << 16

    init(word: UInt32, bytesMax: Int) {
        // Only ever the word of a valid value, so no lookup can fail.
        durability = Durability(rawValue: UInt8(truncatingIfNeeded: word))!
        keyRule = KeyRule(rawValue: UInt8(truncatingIfNeeded: word >> 8))!
        eviction = Eviction(rawValue: UInt8(truncatingIfNeeded: word >> 16))!
        self.bytesMax = bytesMax
    }
}
