// What comes of snapshots that fail again and again: the log grows. It is told, and in the end the log is held back.
//
// Knows how long the log is and how long it may be; why a snapshot fails is in the statistics of those.

import LarderEngine
import LarderPlatform
import Synchronization

extension DurableStore {
    /// A log so many times as long as makes a snapshot due is a sign of trouble, if the last snapshot failed.
    private static let timesBehind: Int64 = 4

    /// Has nothing but removals taken while the log is longer than the options allow.
    func holdBack(_ log: any LogBackend) {
        guard options.logBytesMax > 0 else { return }
        let bytes = bytesToReplay
        let isTooLong = bytes > Int64(options.logBytesMax)
        guard isTooLong != tooLong.exchange(isTooLong, ordering: .acquiringAndReleasing) else { return }
        buffer.holdBack(isTooLong)
        options.events.add(isTooLong ? .logTooLong(bytes: bytes, bytesMax: options.logBytesMax) : .logShortAgain)
        notify()
    }

    /// Writes are refused because of the log's length.
    package var isLogTooLong: Bool { tooLong.load(ordering: .acquiring) }

    /// The last snapshot failed, and the log is several times as long as it should be.
    package var isBehind: Bool {
        guard lastSnapshotFailed, let bytes = snapshots.withLock({ $0.bytesBetween(options) }) else { return false }
        return bytesToReplay >= Self.timesBehind * bytes
    }

    /// What an operator should look at although the server is at work, in words for programs.
    package var troubles: [String] {
        var troubles: [String] = []
        if isLogTooLong { troubles.append("log-too-long") }
        if isBehind { troubles.append("snapshots-fail") }
        if isRotten { troubles.append("rot") }
        return troubles
    }
}
