// What the persistence of a server can be told. Plain values, already checked by whoever read them.

import LarderPlatform

/// What is done about a log that has failed.
package enum LogFailurePolicy: String, Sendable, CaseIterable {
    /// All of memory is saved to new files, in which the log goes on.
    case heal
    /// Nothing: reads go on until somebody restarts the server.
    case readOnly = "read-only"
    /// The process ends: somebody else has the data, or is to take over.
    case exit
}

/// How the log and the snapshots are kept.
package struct PersistenceOptions: Sendable {
    /// How long written bytes may stay unsynced when nobody waits for them.
    package var intervalMilliseconds: Milliseconds = 100
    /// Beyond this age of the oldest unsynced byte, replies in `interval` wait for the medium.
    package var boundMilliseconds: Milliseconds = 1_000
    /// Beyond this many unsynced bytes as well.
    package var unsyncedBytesMax = 64 << 20
    /// After so much idleness the log is sealed, which tells a torn tail from a rotten one.
    package var sealMilliseconds: Milliseconds = 50
    /// After so much idleness a frame says what time it is.
    package var heartbeatMilliseconds: Milliseconds = 60_000
    /// A segment that has reached this size is followed by another.
    package var segmentBytes = 64 << 20

    /// How much room is kept for a full disk; 0: none.
    package var ballastBytes = 0

    /// A snapshot is due when the log has grown by this, or by what the last snapshot holds before
    /// compression if that is more; 0: never.
    package var snapshotLogBytes = 64 << 20
    /// With a log of more bytes than this since the last snapshot, only what removes something is taken; 0: without limit.
    package var logBytesMax = 0
    /// So often all files at rest are read again, to find rot; 0: never.
    package var scrubMilliseconds: Milliseconds = 86_400_000
    /// How fast that is done.
    package var scrubBytesPerSecond = 5_000_000
    /// A snapshot is due after so much time if anything changed; 0: not for the time alone.
    package var snapshotMilliseconds: Milliseconds = 900_000
    /// How fast a snapshot is written; 0: as fast as the disk takes it.
    package var snapshotBytesPerSecond = 25_000_000
    /// Above this lag of the server a snapshot is written at a tenth of that; nanoseconds.
    package var snapshotLagMax: Int64 = 2_000_000
    /// How many threads compress a snapshot's blocks beside the one that walks and writes; 0: that one does all.
    package var snapshotThreads = 0
    /// A snapshot is synced, and forgotten by the page cache, every so many bytes.
    package var snapshotSyncBytes = 4 << 20
    /// After a snapshot that failed, so long until the next attempt.
    package var snapshotRetryMilliseconds: Milliseconds = 60_000

    /// How far LSNs are reserved ahead of the clock while there are writes.
    package var ceilingMilliseconds: Milliseconds = 10_000
    /// The same while there are none, so that an idle server rarely writes a manifest.
    package var idleCeilingMilliseconds: Milliseconds = 90_000

    package var onLogFailure = LogFailurePolicy.heal
    /// Ends the process, under `exit`, when the log has failed. Called again and again if it does not.
    package var giveUp: @Sendable (LogCondition) -> Void = { _ in }
    /// So long after the log has failed it is tried to heal it; after each attempt that failed, twice as long until the next.
    package var healMilliseconds: Milliseconds = 1_000
    /// No longer than this.
    package var healMillisecondsMax: Milliseconds = 60_000

    /// How many threads load a snapshot, and how many apply the log while another one reads it.
    package var loadThreads = 2
    /// What the lock file says of its owner.
    package var owner = ProcessIdentity.describe()
    /// Where what happens to the storage is told.
    package var events = StorageEvents()
    /// Waits so many nanoseconds, on the thread that writes a snapshot.
    package var sleep: @Sendable (Int64) -> Void = { Parker().park(nanoseconds: $0) }
    /// Where ids and salts come from.
    package var random: @Sendable () -> UInt64 = {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    package init() {}
}
