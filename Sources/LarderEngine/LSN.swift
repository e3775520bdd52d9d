// When a write happened, in the one order that all writes share.
//
// A hybrid logical clock in a word; it asks no clock itself, the log buffer feeds it.
// Source: S. Kulkarni et al., "Logical Physical Clocks", OPODIS 2014.

import LarderPlatform

/// A log sequence number: version of an entry, place in the log, and time of the update in one word.
///
/// Increasing and never used twice. The upper 42 bits are milliseconds since 2020-01-01 UTC, the lower 22 a counter.
@frozen @usableFromInline
package struct LSN: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: UInt64

    @inlinable package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The LSN of a counter within a millisecond, clamped to what 42 and 22 bits hold.
    package init(milliseconds: Milliseconds, counter: UInt32 = 0) {
        let (since, overflow) = milliseconds.subtractingReportingOverflow(Self.epochMilliseconds)
        let time = overflow || since < 0 ? 0 : min(UInt64(since), Self.timeMax)
        rawValue = time << Self.counterBits | UInt64(min(counter, Self.counterMax))
    }

    /// Before every write.
    package static let zero = LSN(rawValue: 0)

    /// When the write happened, in Unix milliseconds.
    @inlinable package var milliseconds: Milliseconds {
        Milliseconds(rawValue >> Self.counterBits) &+ Self.epochMilliseconds
    }

    /// Which of the writes of its millisecond it is.
    @inlinable package var counter: UInt32 { UInt32(truncatingIfNeeded: rawValue) & Self.counterMax }

    /// The next LSN, of a write made at `now`: later than this one, and no earlier than the clock.
    ///
    /// A counter that is used up runs over into the time, which is then ahead of the clock for a moment.
    package func next(at now: Milliseconds) -> LSN {
        max(LSN(rawValue: rawValue + 1), LSN(milliseconds: now))
    }

    @inlinable package static func < (left: LSN, right: LSN) -> Bool { left.rawValue < right.rawValue }

    @usableFromInline static let epochMilliseconds: Milliseconds = 1_577_836_800_000
    @usableFromInline static let counterBits: UInt64 = 22
    @usableFromInline static let counterMax: UInt32 = 1 << 22 - 1
    static let timeMax: UInt64 = 1 << 42 - 1
}
