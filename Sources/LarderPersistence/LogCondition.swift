// How the log is doing, in words that a refused client can be told.

import LarderBytes
import LarderPlatform

/// Whether writes can be taken.
package enum LogState: UInt8, Sendable {
    case ok = 0
    /// The disk is full, and the room that was kept for this is in use: only what removes something is taken.
    case low = 1
    /// The disk is full. The same bytes are tried again every second; nothing acknowledged is lost.
    case full = 2
    /// Writing or syncing failed; nothing that was not durable before is acknowledged any more.
    case failed = 3
    /// Everything in memory is being saved to files that are new, so that the log can go on behind them.
    case healing = 4
    /// Closed in order.
    case closed = 5

    /// Whether the files that the log writes to can be trusted.
    var isTrusted: Bool { rawValue <= LogState.full.rawValue }
    /// Whether records get to the medium, at least those that remove something.
    package var takesRecords: Bool { self == .ok || self == .low }
}

/// What a log has done since the start.
package struct LogStatistics: Equatable, Sendable {
    /// Group commits.
    package var frames = 0
    package var syncs = 0
    package var syncNanoseconds: Int64 = 0
    package var longestSyncNanoseconds: Int64 = 0
    /// How many syncs took no longer than each of `syncMillisecondsBounds`.
    package var syncsWithin = [Int](repeating: 0, count: LogStatistics.syncMillisecondsBounds.count)
    package static let syncMillisecondsBounds: [Int64] = [1, 4, 16, 64, 256, 1_000]
    /// Records in those frames.
    package var records = 0
    /// Bytes that were written and that no sync has covered yet.
    package var unsyncedBytes = 0
    /// Times that it left `ok` for want of room, and because of any other error.
    package var shortages = 0
    package var failures = 0

    package init() {}

    mutating func note(syncFor nanoseconds: Int64) {
        syncs += 1
        syncNanoseconds += nanoseconds
        longestSyncNanoseconds = max(longestSyncNanoseconds, nanoseconds)
        for (place, bound) in Self.syncMillisecondsBounds.enumerated() where nanoseconds <= bound * 1_000_000 { syncsWithin[place] += 1 }
    }
}

/// The state, why, where and since when.
package struct LogCondition: Equatable, Sendable, CustomStringConvertible {
    package var state: LogState
    package var error: SystemError?
    /// The file that the error concerns.
    package var file: String
    /// When it began, Unix milliseconds.
    package var since: Milliseconds

    package init(state: LogState, error: SystemError?, file: String, since: Milliseconds) {
        self.state = state
        self.error = error
        self.file = file
        self.since = since
    }

    package var description: String {
        let cause = error.map { ": \($0)" } ?? ""
        return "log is \(state == .low ? "low on room" : "\(state)")\(cause), \(file), since \(String(timestamp: since))"
    }
}
