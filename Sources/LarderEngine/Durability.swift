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

/// What a namespace is set to. Part of its records in the log.
@frozen @usableFromInline
package struct NamespaceSettings: Equatable, Hashable, Sendable {
    @usableFromInline package var durability: Durability
    @usableFromInline package var keyRule: KeyRule

    @inlinable package init(durability: Durability = .always, keyRule: KeyRule = .path) {
        self.durability = durability
        self.keyRule = keyRule
    }

    /// Both settings in one word, so that they are read and changed as one.
    var word: UInt32 { UInt32(durability.rawValue) | UInt32(keyRule.rawValue) << 8 }

    init(word: UInt32) {
        // Only ever the word of a valid value, so neither lookup can fail.
        durability = Durability(rawValue: UInt8(truncatingIfNeeded: word))!
        keyRule = KeyRule(rawValue: UInt8(truncatingIfNeeded: word >> 8))!
    }
}
