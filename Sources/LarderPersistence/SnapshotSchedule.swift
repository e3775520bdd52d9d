// When the next snapshot is due. Asks no clock: elapsed time comes with each question.

import LarderEngine
import LarderPlatform

/// What the snapshots of this start have been.
package struct SnapshotStatistics: Sendable, Equatable {
    package var taken = 0
    package var failed = 0
    package var lastError: PersistenceError?
    package var lastEntries: UInt64 = 0
    package var lastBytes: UInt64 = 0
    /// The same before compression.
    package var lastRawBytes: UInt64 = 0
    package var lastElapsedMilliseconds: Milliseconds = 0
    /// Blocks that waited because the server was slow, and for how long altogether; those of a snapshot under way included.
    package var pauses = 0
    package var pausedNanoseconds: Int64 = 0
    package var pausedMilliseconds: Milliseconds { pausedNanoseconds / 1_000_000 }
    /// When the last one was published, Unix milliseconds; 0: none in this start.
    package var lastWall: Milliseconds = 0
}

/// Decides when a snapshot is due.
struct SnapshotSchedule {
    private var nextNumber: UInt32 = 1
    /// Bytes of log that a restart would replay, apart from what this start wrote.
    private var bytesBefore: Int64 = 0
    private var bytesAtLast = 0
    /// What the last snapshot holds, before compression.
    private var lastBytes: Int64 = 0
    private var lastLSN = LSN.zero
    private var lastTime: Int64 = 0
    private var retryAt: Int64 = .min
    private var isRequested = false
    /// One begins when the one before it has ended, so the n-th to begin is the n-th to end.
    private var begun: UInt64 = 0
    private var activityLSN = LSN.zero
    private var isLow = false
    /// While it is low on room: whether the second snapshot has been asked for.
    private var hasAskedAgain = false
    /// The older of the kept snapshots, and the log behind it, are of an earlier state than the newest.
    private var keepsMore = true
    private var isRotten = false

    private static let nanoseconds: Int64 = 1_000_000
    /// A start that found more segments than this asks for a snapshot.
    private static let segmentsMax = 4

    mutating func begin(after recovered: Recovered, _ manifest: Manifest, now: Int64, durable: LSN) {
        nextNumber = (manifest.snapshots.map(\.number).max() ?? 0) + 1
        bytesBefore = recovered.log.recordCount > 0 ? recovered.log.frameBytes : 0
        lastBytes = recovered.snapshotRawBytes
        lastLSN = recovered.log.recordCount > 0 ? .zero : durable
        lastTime = now
        activityLSN = durable
        // Each start begins a segment; without a snapshot nothing would ever let the old ones go.
        isRequested = Int(recovered.log.lastSegment) - Int(manifest.oldestSegment) >= Self.segmentsMax
    }

    /// Asks for a snapshot that begins after this call: one that is under way has met some keys already.
    ///
    /// - Returns: How many snapshots will have begun then.
    mutating func request() -> UInt64 {
        isRequested = true
        return begun + 1
    }

    func isDue(_ options: PersistenceOptions, bytesWritten: Int, applied: LSN, now: Int64) -> Bool {
        if isRequested { return true }
        guard now >= retryAt else { return false }
        if isRotten { return true }
        // On a full disk a snapshot is what makes room, once something was removed, or if another one is needed to let the log go.
        if isLow, applied > lastLSN || keepsMore, now - lastTime >= options.snapshotRetryMilliseconds * Self.nanoseconds { return true }
        let grown = grown(bytesWritten)
        if let limit = bytesBetween(options), grown >= limit { return true }
        guard options.snapshotMilliseconds > 0, applied > lastLSN else { return false }
        return now - lastTime >= options.snapshotMilliseconds * Self.nanoseconds
    }

    /// Bytes of log that a start would replay.
    func grown(_ bytesWritten: Int) -> Int64 { bytesBefore + Int64(bytesWritten - bytesAtLast) }

    /// How much log there is before a snapshot is due: as much as a snapshot has to walk, so that both cost about the same
    /// however large the state is. nil: the log's size is no reason.
    func bytesBetween(_ options: PersistenceOptions) -> Int64? {
        guard options.snapshotLogBytes > 0 else { return nil }
        let usual = max(Int64(options.snapshotLogBytes), lastBytes)
        // Well before writes are refused for it.
        return options.logBytesMax > 0 ? min(usual, Int64(options.logBytesMax) / 2) : usual
    }

    /// A snapshot begins.
    mutating func giveNumber() -> UInt32 {
        isRequested = false
        begun += 1
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// - Parameter rawBytes: What it holds, before compression.
    /// - Parameter bytesWritten: As it was when the snapshot began.
    /// - Parameter keepsMore: The other snapshot that is kept is of an earlier state, or there is none.
    mutating func succeeded(
        _ snapshot: Manifest.Snapshot, rawBytes: UInt64, bytesWritten: Int, keepsMore: Bool, now: Int64
    ) {
        bytesBefore = 0
        bytesAtLast = bytesWritten
        lastBytes = Int64(clamping: rawBytes)
        lastLSN = snapshot.end
        lastTime = now
        self.keepsMore = keepsMore
        // The log is kept from the older snapshot on, so one alone makes no room.
        if isLow, keepsMore, !hasAskedAgain {
            isRequested = true
            hasAskedAgain = true
        }
    }

    mutating func failed(_ options: PersistenceOptions, now: Int64) {
        retryAt = now + options.snapshotRetryMilliseconds * Self.nanoseconds
    }

    /// Whether the log is low on room. When that begins, a snapshot is asked for: what it makes unneeded may be room enough.
    mutating func note(isLow: Bool) {
        if isLow && !self.isLow {
            isRequested = true
            hasAskedAgain = false
        }
        self.isLow = isLow
    }

    /// Whether something at rest is damaged, which a snapshot would replace.
    mutating func note(isRotten: Bool) { self.isRotten = isRotten }

    /// Whether LSNs were given since the last call.
    mutating func noteActivity(_ applied: LSN) -> Bool {
        defer { activityLSN = applied }
        return applied > activityLSN
    }
}
