// When an entry is gone. A point in time that asks no clock.

import LarderPlatform

/// The moment at which an entry is gone, in Unix milliseconds, or never.
@frozen @usableFromInline
package struct Deadline: RawRepresentable, Comparable, Hashable, Sendable {
    /// Unix milliseconds; 0 means never.
    @usableFromInline package var rawValue: Int64

    @inlinable package init(rawValue: Int64) { self.rawValue = rawValue }

    /// No deadline.
    @inlinable package static var never: Deadline { Deadline(rawValue: 0) }

    @inlinable package var isNever: Bool { rawValue == 0 }

    /// Whether an entry with this deadline is gone at `now`. A deadline equal to `now` is due.
    @inlinable package func isDue(_ now: Milliseconds) -> Bool { rawValue != 0 && rawValue <= now }

    /// The deadline `milliseconds` after `now`, or the latest one that an entry can hold.
    package static func after(_ milliseconds: Milliseconds, now: Milliseconds) -> Deadline {
        let (sum, overflow) = now.addingReportingOverflow(milliseconds)
        if overflow { return milliseconds > 0 ? .latest : Deadline(rawValue: 1) }
        return .at(sum)
    }

    /// The deadline at `time`, or the nearest one that an entry can hold.
    package static func at(_ time: Milliseconds) -> Deadline { Deadline(rawValue: min(max(time, 1), latest.rawValue)) }

    /// The latest deadline that fits in the 47 bits that an entry has for it: in the year 6429.
    package static let latest = Deadline(rawValue: 1 << 47 - 1)

    /// Never comes after every deadline.
    @inlinable package static func < (left: Deadline, right: Deadline) -> Bool {
        UInt64(bitPattern: left.rawValue &- 1) < UInt64(bitPattern: right.rawValue &- 1)
    }
}
