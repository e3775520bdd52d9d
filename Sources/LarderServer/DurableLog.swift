// The log as the server sees it: the real one, between the replies that wait and the files that they wait for.

import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// The log of a durable store. Until recovery has made one, nothing is written and nothing waits.
package final class DurableLog: ReplyLog {
    private let durable: DurableStore
    private let buffer: LogBuffer
    private let recovered = AtomicLazyReference<Opened>()

    /// A class of its own, so that it can be published with one store and found with one load.
    private final class Opened: Sendable {
        let log: any LogBackend
        init(_ log: any LogBackend) { self.log = log }
    }

    package init(_ durable: DurableStore, buffer: LogBuffer) {
        self.durable = durable
        self.buffer = buffer
    }

    /// Recovery is complete: from now on there is a log.
    ///
    /// - Parameter observer: Called by whichever thread moved the log, changed its state or ended a snapshot.
    package func open(_ observer: @escaping @Sendable () -> Void) {
        durable.setObserver(observer)
        _ = recovered.storeIfNil(Opened(durable.log))
    }

    private var log: (any LogBackend)? { recovered.load()?.log }

    package var position: LogPosition {
        guard let log else { return LogPosition(written: .zero, interval: .zero, durable: .zero) }
        return LogPosition(
            written: log.writtenLSN, interval: log.intervalLSN, durable: log.durableLSN,
            snapshots: durable.snapshotsFinished, lastSnapshotFailed: durable.lastSnapshotFailed)
    }

    package var isWorking: Bool { log.map { $0.state.takesRecords } ?? true }

    package var refusal: LogRefusal {
        guard let condition = log?.condition else { return LogRefusal(isDiskFull: false, text: "The log is not open.") }
        let advice =
            switch condition.state {
            case .ok: "Writes are taken again by now."
            case .low: "Deletes are taken, and so is everything else as soon as there is room on the disk."
            case .full: "Make room on the disk; writes are taken again as soon as there is some."
            case .failed, .healing:
                "Reads go on, and nothing that was acknowledged is lost. All of it is saved to new files; writes are taken again when that succeeds."
            case .closed: "The server is stopping."
            }
        return LogRefusal(isDiskFull: condition.state == .full || condition.state == .low, text: "\(condition). Nothing was changed. \(advice)")
    }

    package var reserveRefusal: LogRefusal? {
        guard let error = durable.reserveError else { return nil }
        var isDiskFull = false
        if case .system(let cause, _) = error { isDiskFull = cause.isOutOfSpace }
        return LogRefusal(
            isDiskFull: isDiskFull,
            text: "\(error). Nothing was changed. Make room on the disk; writes are taken again as soon as there is some.")
    }

    package func endTurn(wantsSync: Bool) {
        guard let log else { return }
        if !buffer.isEmpty { log.writeIfIdle() }
        if wantsSync { log.kick() }
    }

    package func requestSnapshot() -> UInt64 { durable.requestSnapshot() }

    package var lastSnapshotMilliseconds: Milliseconds { durable.snapshotStatistics.lastWall }

    package func news() -> [String] { durable.options.events.take().map(\.description) }

    package func report(_ figure: (StaticString, StaticString, Bool, Int64) -> Void) {
        guard let log else { return }
        figure("larder_log_bytes_total", "Bytes written to the log since the start.", true, Int64(log.bytesWritten))
        figure("larder_log_unsynced_milliseconds", "Age of the oldest byte that the medium should have and is not known to have.", false, log.unsyncedMilliseconds)
        figure(
            "larder_log_state", "0 ok, 1 low on room (only deletes are taken), 2 full, 3 failed, 4 healing, 5 closed.", false,
            Int64(log.state.rawValue))
        if let free = durable.freeBytes { figure("larder_disk_free_bytes", "What the data directory's disk has room for.", false, free) }
        let healing = durable.healingStatistics
        figure("larder_log_healed_total", "Times that the log failed and went on in new files.", true, Int64(healing.succeeded))
        figure("larder_log_healing_failed_total", "Attempts at that which failed.", true, Int64(healing.failed))
        let snapshots = durable.snapshotStatistics
        figure("larder_snapshots_total", "Snapshots taken since the start.", true, Int64(snapshots.taken))
        figure("larder_snapshots_failed_total", "Snapshots that failed.", true, Int64(snapshots.failed))
        figure(
            "larder_snapshot_pauses_total", "Blocks of snapshots that waited because turns took too long.", true,
            Int64(snapshots.pauses))
        figure(
            "larder_snapshot_paused_milliseconds_total", "How long they waited.", true, snapshots.pausedMilliseconds)
        figure("larder_snapshot_entries", "Entries in the last snapshot.", false, Int64(clamping: snapshots.lastEntries))
        figure("larder_snapshot_bytes", "Bytes of the last snapshot.", false, Int64(clamping: snapshots.lastBytes))
        figure("larder_snapshot_milliseconds", "How long the last snapshot took.", false, snapshots.lastElapsedMilliseconds)
    }
}
