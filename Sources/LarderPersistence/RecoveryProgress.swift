// How far a start has come, for whoever answers "loading, N %" meanwhile; and what it found, for the log line.

import LarderEngine
import LarderPlatform
import Synchronization

/// Counters that any thread may read while recovery runs.
package final class RecoveryProgress: Sendable {
    package enum Phase: UInt8, Sendable {
        case opening = 0
        case verifying = 1
        case loading = 2
        case replaying = 3
        case done = 4
    }

    private let done = Atomic<Int64>(0)
    private let total = Atomic<Int64>(0)
    private let releasedWord = Atomic<Int64>(0)
    private let phaseWord = Atomic<UInt8>(0)

    package init() {}

    /// Bytes of files dealt with so far.
    package var bytesDone: Int64 { done.load(ordering: .relaxed) }
    /// Bytes of all files to be dealt with; 0 while that is not known.
    package var bytesTotal: Int64 { total.load(ordering: .relaxed) }
    package var phase: Phase {
        // Only ever the raw value of a phase.
        Phase(rawValue: phaseWord.load(ordering: .relaxed))!
    }

    /// Entries that were over by then are not needed by any record of the log that has not been read yet; Unix milliseconds.
    var released: Milliseconds { releasedWord.load(ordering: .relaxed) }

    /// A frame with records was read that was written at `wall`.
    func note(frameAt wall: Milliseconds) { releasedWord.store(max(released, wall), ordering: .relaxed) }

    func enter(_ phase: Phase) { phaseWord.store(phase.rawValue, ordering: .relaxed) }
    func expect(_ bytes: Int64) { total.wrappingAdd(bytes, ordering: .relaxed) }
    func note(_ bytes: Int64) { done.wrappingAdd(bytes, ordering: .relaxed) }
}

/// What a start found.
package struct RecoveryReport: Sendable, Equatable {
    /// The directory was empty.
    package var isNew = false
    /// The last server stopped in order.
    package var wasClean = false
    /// The manifest was damaged and the one before it was used.
    package var usedPreviousManifest = false
    /// The snapshot that was loaded.
    package var snapshot: UInt32?
    /// Newer snapshots that could not be used.
    package var damagedSnapshots: [SnapshotDamage] = []
    /// Why the log behind the older snapshot, which was not needed, could not be read.
    package var olderDamage: PersistenceError?
    package var entriesLoaded = 0
    package var recordsReplayed = 0
    package var bytesRead: Int64 = 0
    /// A torn tail: where, and how many bytes were set aside.
    package var cutFile: String?
    package var bytesCut = 0
    /// The LSN that the log had reached.
    package var reached = LSN.zero
    /// The newest wall clock in the log. Now is never before it, or expired keys would come back to life.
    package var newestWall: Milliseconds = 0
    /// How far the wall clock is behind that; 0 when it is not.
    package var clockBehindMilliseconds: Milliseconds = 0
    package var elapsedMilliseconds: Milliseconds = 0

    package init() {}
}
