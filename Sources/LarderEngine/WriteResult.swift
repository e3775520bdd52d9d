// What a caller may ask of a write, and what it learns from one.
//
// The engine's own words: the wire has its own, and the server translates.

import LarderPlatform

/// What must hold for a write to be carried out. Judged under the same lock as the write.
@frozen @usableFromInline
package enum WriteCondition: Sendable, Equatable {
    case none
    /// No live entry.
    case absent
    /// A live entry.
    case present
    /// A live entry with this version.
    case version(UInt64)
    /// No live entry, or one with another version.
    case notVersion(UInt64)
}

/// What a write does to the deadline.
@frozen @usableFromInline
package enum LifetimeChange: Sendable, Equatable {
    /// The key lives until it is removed.
    case unlimited
    /// The deadline stays as it is; a new key gets none.
    case keep
    /// The key is gone so many milliseconds from now.
    case milliseconds(Milliseconds)
    /// The key is gone at this time, Unix milliseconds.
    case until(Milliseconds)
}

/// What became of a write.
@frozen @usableFromInline
package enum WriteOutcome: UInt8, Sendable, Equatable {
    /// There was no live entry, and now there is one.
    case created
    /// A live entry was changed.
    case updated
    /// A live entry is gone; also the outcome of a write whose deadline had passed when it was made.
    case removed

    // Nothing was changed by any of the following.

    /// There is no live entry.
    case notFound
    case conditionFailed
    /// An increment of a value that is not a decimal 64-bit integer.
    case notAnInteger
    case integerOverflow
    case valueTooLarge
    /// The log's buffer is full; worth retrying.
    case backlog
    /// The log has failed and takes no more records.
    case refused
    case outOfMemory
    /// The namespace may not be larger than it is; or, if it evicts, than the entry alone would be.
    case namespaceFull
    /// The namespace is not ready, or was dropped.
    case namespaceGone
}

/// What became of a write, and what its reply has to say and to wait for.
@frozen @usableFromInline
package struct WriteResult: Sendable, Equatable {
    @usableFromInline package var outcome: WriteOutcome
    /// What a durable reply waits for: the write's own LSN; or, when nothing was changed, that of the write that decided so.
    @usableFromInline package var lsn: LSN
    /// The version of the live entry after the call, 0 when there is none.
    @usableFromInline package var version: UInt64
    /// The counter after an increment; the bytes of the value after an append.
    @usableFromInline package var integer: Int64
    /// The deadline of the live entry after the call.
    @usableFromInline package var deadline: Deadline

    @inlinable package init(
        _ outcome: WriteOutcome, lsn: LSN, version: UInt64 = 0, integer: Int64 = 0, deadline: Deadline = .never
    ) {
        self.outcome = outcome
        self.lsn = lsn
        self.version = version
        self.integer = integer
        self.deadline = deadline
    }
}

/// Whether a read found something, and which write that depends on.
@frozen @usableFromInline
package struct ReadResult: Sendable, Equatable {
    @usableFromInline package var hit: Bool
    /// Of the entry; for a miss the latest removal, flush or expired entry that the miss may be due to.
    @usableFromInline package var lsn: LSN

    @inlinable package init(hit: Bool, lsn: LSN) {
        self.hit = hit
        self.lsn = lsn
    }
}
