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
        if durable.isLogTooLong, condition.state.takesRecords { return lengthRefusal }
        let advice =
            switch condition.state {
            case .ok: "Writes are taken again by now."
            case .low: "Deletes are taken, and so is everything else as soon as there is room on the disk."
            case .full: "Make room on the disk; writes are taken again as soon as there is some."
            case .failed where durable.options.onLogFailure == .readOnly:
                "Reads go on. \(Self.atTheEnd) Writes are taken again after a restart."
            case .failed where durable.options.onLogFailure == .exit: "The server ends. \(Self.atTheEnd)"
            case .failed, .healing:
                "Reads go on. All that is in memory is saved to new files; writes are taken again when that succeeds. If the server ends before: \(Self.atTheEnd)"
            case .closed: "The server is stopping."
            }
        return LogRefusal(isDiskFull: condition.state == .full || condition.state == .low, text: "\(condition). Nothing was changed. \(advice)")
    }

    /// What is there after a log has failed for good.
    private static let atTheEnd =
        "The next start has everything that was acknowledged with durability always; the last that was with interval or never may be missing."

    /// What those are told who are refused because the log is too long.
    private var lengthRefusal: LogRefusal {
        let cause = durable.lastSnapshotFailed ? durable.snapshotStatistics.lastError.map { "; snapshots fail: \($0)" } ?? "" : ""
        return LogRefusal(
            isDiskFull: true,
            text: "the log has \(durable.bytesToReplay) bytes since the last snapshot, more than log-bytes-max\(cause). Nothing was changed. "
                + "Deletes are taken, and so is everything else as soon as there is another snapshot.")
    }

    package var troubles: [String] { log == nil ? [] : durable.troubles }

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

    /// For each of `LogStatistics.syncMillisecondsBounds`.
    private static let syncsWithinNames: [StaticString] = [
        "larder_log_syncs_within_1ms_total", "larder_log_syncs_within_4ms_total", "larder_log_syncs_within_16ms_total",
        "larder_log_syncs_within_64ms_total", "larder_log_syncs_within_256ms_total", "larder_log_syncs_within_1s_total",
    ]

    package func report(_ figure: (StaticString, StaticString, Bool, Int64) -> Void) {
        guard let log else { return }
        figure("larder_log_bytes_total", "Bytes written to the log since the start.", true, Int64(log.bytesWritten))
        figure("larder_log_unsynced_milliseconds", "Age of the oldest byte that the medium should have and is not known to have.", false, log.unsyncedMilliseconds)
        figure(
            "larder_log_state", "0 ok, 1 low on room (only deletes are taken), 2 full, 3 failed, 4 healing, 5 closed.", false,
            Int64(log.state.rawValue))
        if let free = durable.freeBytes { figure("larder_disk_free_bytes", "What the data directory's disk has room for.", false, free) }
        let statistics = log.statistics
        figure("larder_log_frames_total", "Group commits written.", true, Int64(statistics.frames))
        figure("larder_log_records_total", "Records in them.", true, Int64(statistics.records))
        figure("larder_log_unsynced_bytes", "Bytes written to the log that no sync has covered yet.", false, Int64(statistics.unsyncedBytes))
        figure("larder_log_syncs_total", "Syncs of the log.", true, Int64(statistics.syncs))
        for (name, count) in zip(Self.syncsWithinNames, statistics.syncsWithin) {
            figure(name, "Those that took no longer.", true, Int64(count))
        }
        figure("larder_log_sync_microseconds_total", "How long they took together.", true, statistics.syncNanoseconds / 1_000)
        figure("larder_log_sync_longest_microseconds", "How long the longest took.", false, statistics.longestSyncNanoseconds / 1_000)
        figure("larder_log_shortages_total", "Times that the disk was full.", true, Int64(statistics.shortages))
        figure("larder_log_failures_total", "Times that the log failed.", true, Int64(statistics.failures))
        figure("larder_log_replay_bytes", "Log that a start would have to replay.", false, durable.bytesToReplay)
        figure("larder_manifest_failed_total", "Manifests that could not be published.", true, Int64(durable.manifestsFailed))
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
        figure("larder_snapshot_raw_bytes", "The same before compression.", false, Int64(clamping: snapshots.lastRawBytes))
        figure("larder_snapshot_milliseconds", "How long the last snapshot took.", false, snapshots.lastElapsedMilliseconds)
        figure("larder_snapshot_lsn", "Where the newest snapshot begins.", false, Int64(clamping: durable.snapshotLSN.rawValue))
        figure("larder_snapshot_time_seconds", "When the last snapshot of this start was published, Unix time; 0: none.", false, snapshots.lastWall / 1_000)
        let scrub = durable.scrubStatistics
        figure("larder_scrub_time_seconds", "When files at rest were last read again, Unix time; 0: not in this start.", false, scrub.lastWall / 1_000)
        figure("larder_scrub_bytes_total", "Bytes of them that were read.", true, scrub.bytes)
        figure("larder_scrub_errors_total", "Files of them that were found damaged.", true, Int64(scrub.errors))
        let recovery = durable.recovery
        figure("larder_recovery_milliseconds", "How long the start took to read its data.", false, recovery.elapsedMilliseconds)
        figure("larder_recovery_entries", "Entries that it loaded from a snapshot.", false, Int64(recovery.entriesLoaded))
        figure("larder_recovery_records", "Records of the log that it replayed.", false, Int64(recovery.recordsReplayed))
        figure("larder_recovery_cut_bytes", "Bytes of a torn tail that it cut.", false, Int64(recovery.bytesCut))
        figure(
            "larder_recovery_damaged_files", "Snapshots and manifests that it found damaged and did without.", false,
            Int64(recovery.damagedFiles))
    }
}
