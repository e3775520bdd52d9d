// Takes a snapshot of the running store and publishes it; then the log before the older kept snapshot goes.
//
// Exact without a fork or a copy on write: the log is cut first, the walk may then meet any later state of a key, and
// replaying the log from the cut sets every key that changed right. The walk can pick up a value whose record is not yet on
// the medium, so the log is made durable past the end of the walk before the snapshot gets its name.
// Source: Dragonfly's relaxed snapshotting (docs/snapshotting.md), with the log in place of its replication stream.

import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

/// A snapshot that is on the medium under its name, though in no manifest yet.
struct WrittenSnapshot {
    let snapshot: Manifest.Snapshot
    let entries: UInt64
    /// Before compression.
    let rawBytes: UInt64
}

extension DurableStore {
    /// Asks the keeper's thread for a snapshot that begins after this call.
    ///
    /// - Returns: What `snapshotsFinished` will have reached when that one is done.
    @discardableResult
    package func requestSnapshot() -> UInt64 {
        let ticket = snapshots.withLock { $0.request() }
        keeperParker.wake()
        return ticket
    }

    /// How many snapshots have ended, well or not.
    package var snapshotsFinished: UInt64 { finishedWord.load(ordering: .acquiring) }
    /// Whether the last of them failed.
    package var lastSnapshotFailed: Bool { lastFailed.load(ordering: .acquiring) }

    func finish(failed: Bool) {
        lastFailed.store(failed, ordering: .releasing)
        finishedWord.add(1, ordering: .releasing)
        notify()
    }

    /// What the keeper's thread does now and then: reserves LSNs, attends to a log that has failed or grows too long, keeps room for a
    /// full disk, looks for rot, and takes a snapshot when one is due.
    package func poll() {
        raiseCeiling()
        guard let log = opened.withLock({ $0.isClosed ? nil : $0.log }) else { return }
        attend(to: log)
        log.keepRoom()
        holdBack(log)
        guard log.state.takesRecords else { return }
        scrub(log)
        let isDue = snapshots.withLock {
            $0.note(isLow: log.state == .low)
            return $0.isDue(options, bytesWritten: log.bytesWritten, applied: buffer.appliedLSN, now: clock.elapsed())
        }
        guard isDue else { return }
        do throws(PersistenceError) {
            try snapshotNow()
        } catch {
            // Counted; serving goes on with the older snapshot and a longer log.
            if case .system(let cause, _) = error, cause.isOutOfSpace, log.state == .low, giveUpOlder(log) { requestSnapshot() }
        }
        holdBack(log)
    }

    /// Takes a snapshot on the calling thread, at the pace that the options allow. One at a time: a second caller waits.
    @discardableResult
    package func snapshotNow() throws(PersistenceError) -> Manifest.Snapshot {
        guard let log = opened.withLock({ $0.isClosed ? nil : $0.log }) else { throw .notOpen }
        return try oneAtATime.withLock { _ throws(PersistenceError) in
            let began = clock.elapsed()
            let bytesWritten = log.bytesWritten
            let number = snapshots.withLock { $0.giveNumber() }
            do throws(PersistenceError) {
                let begin = try log.cut()
                let written = try write(number, from: begin, log, pace: pace(log)) { () throws(PersistenceError) in
                    let end = max(buffer.mark(), begin)
                    try log.makeDurable(through: end)
                    return end
                }
                let keepsMore = try publish(written.snapshot, log)
                note(written, bytesWritten: bytesWritten, keepsMore: keepsMore, began: began)
                options.events.add(
                    .snapshotTaken(
                        number: number, entries: written.entries, bytes: written.snapshot.bytes,
                        milliseconds: (clock.elapsed() - began) / 1_000_000))
                finish(failed: false)
                return written.snapshot
            } catch {
                snapshots.withLock { $0.failed(options, now: clock.elapsed()) }
                note { statistics in
                    statistics.failed += 1
                    statistics.lastError = error
                }
                options.events.add(.snapshotFailed(error))
                finish(failed: true)
                throw error
            }
        }
    }

    /// - Parameter bytesWritten: Of the log, as it was when the snapshot began.
    /// - Parameter keepsMore: The other snapshot that is kept is of an earlier state, or there is none.
    func note(_ written: WrittenSnapshot, bytesWritten: Int, keepsMore: Bool, began: Int64) {
        snapshots.withLock {
            $0.succeeded(
                written.snapshot, rawBytes: written.rawBytes, bytesWritten: bytesWritten, keepsMore: keepsMore, now: clock.elapsed())
        }
        note { statistics in
            statistics.taken += 1
            statistics.lastEntries = written.entries
            statistics.lastBytes = written.snapshot.bytes
            statistics.lastRawBytes = written.rawBytes
            statistics.lastElapsedMilliseconds = (clock.elapsed() - began) / 1_000_000
            statistics.lastWall = clock.wall()
        }
    }

    /// Writes the file and gives it its name; both are on the medium when this returns.
    ///
    /// - Parameter end: Called when all has been walked: how far the log is durable, and everything that was met with it.
    func write(
        _ number: UInt32, from begin: LSN, _ log: any LogBackend, pace: SnapshotPace, end: () throws(PersistenceError) -> LSN
    ) throws(PersistenceError) -> WrittenSnapshot {
        let name = FileName.snapshotName(number)
        let draft = FileName.temporaryName(name)
        let (manifest, files) = opened.withLock { ($0.manifest, directory.files) }
        let header = SnapshotHeader(
            number: number, directory: manifest.directory, begin: begin, epoch: manifest.epoch, wall: clock.wall())
        let file = try naming(draft) { () throws(SystemError) in try files.open(draft, .replace) }
        do {
            var writer = SnapshotWriter(file: file, header: header, syncBytes: options.snapshotSyncBytes)
            try writeBlocks(&writer, pace, draft)
            let end = try end()
            let snapshot = try naming(draft) { () throws(SystemError) in
                let snapshot = try writer.finish(end: end, wall: clock.wall())
                try file.close()
                return snapshot
            }
            try give(name, to: draft, log)
            return WrittenSnapshot(snapshot: snapshot, entries: writer.entryCount, rawBytes: writer.rawBytes)
        } catch {
            try? files.remove(draft)
            throw error
        }
    }

    private func give(_ name: String, to draft: String, _ log: any LogBackend) throws(PersistenceError) {
        do {
            try directory.files.rename(draft, to: name)
            try directory.files.syncDirectory()
        } catch {
            log.fail(because: error, file: name)
            throw .system(error, file: name)
        }
    }

    private func pace(_ log: any LogBackend) -> SnapshotPace {
        // Without a bound for the log there is none for the snapshot.
        let bytesBetween = snapshots.withLock { $0.bytesBetween(options) }
        let urgentAt = bytesBetween.map { log.bytesWritten + 2 * Int($0) } ?? .max
        return SnapshotPace(
            bytesPerSecond: options.snapshotBytesPerSecond, lagMax: options.snapshotLagMax, urgentAt: urgentAt,
            now: clock.elapsed())
    }

    /// As fast as the disk takes it.
    func unpaced() -> SnapshotPace { SnapshotPace(bytesPerSecond: 0, lagMax: .max, urgentAt: .max, now: clock.elapsed()) }

    private func writeBlocks(
        _ writer: inout SnapshotWriter, _ pace: SnapshotPace, _ draft: String
    ) throws(PersistenceError) {
        var pace = pace
        var blocks = SnapshotBlocks(threads: options.snapshotThreads, niceness: Self.keeperNiceness)
        do throws(PersistenceError) {
            try blocks.fill(from: state) { (blocks, rest) throws(PersistenceError) in
                try write(&blocks, leaving: rest, &writer, &pace, draft)
            }
        } catch {
            blocks.end()
            throw error
        }
        blocks.end()
    }

    /// Writes blocks until at most so many are under way.
    private func write(
        _ blocks: inout SnapshotBlocks, leaving rest: Int, _ writer: inout SnapshotWriter, _ pace: inout SnapshotPace,
        _ draft: String
    ) throws(PersistenceError) {
        while let block = blocks.next(leaving: rest) {
            let written = try naming(draft) { () throws(SystemError) in try block.write(to: &writer) }
            blocks.giveBack(block)
            pace.wrote(written, logged: log.bytesWritten, now: clock.elapsed())
            raiseCeiling()
            holdBack(log)
            // Nothing can complete it, and what is done about the log comes after it.
            if log.state == .failed { throw .logFailed(log.condition) }
            try keep(&pace)
        }
    }

    /// Waits until the pace lets the next bytes go, in slices that a closing server does not mind.
    private func keep(_ pace: inout SnapshotPace) throws(PersistenceError) {
        while true {
            if isClosing.load(ordering: .acquiring) { throw .cancelled }
            let pause = pace.wait(lag: lag, now: clock.elapsed())
            if pause == 0 { break }
            options.sleep(pause)
        }
        guard let waited = pace.waited(now: clock.elapsed()) else { return }
        note { statistics in
            statistics.pauses += 1
            statistics.pausedNanoseconds += waited
        }
    }

    // MARK: Publication

    /// Names the snapshot in the manifest, and removes what the two kept ones do not need.
    ///
    /// - Returns: Whether the other kept one is of an earlier state, or missing.
    private func publish(_ snapshot: Manifest.Snapshot, _ log: any LogBackend) throws(PersistenceError) -> Bool {
        let rot = rot.withLock { $0 }
        let older = opened.withLock { $0.manifest.snapshots }.filter { !rot.snapshots.contains($0.number) }
        let kept = Array(([snapshot] + older).prefix(Manifest.snapshotsMax))
        // Behind the older of the two, so that a rotten newest one costs nothing but time.
        let isOlderUnneeded = kept.count == Manifest.snapshotsMax || rot.isInLog
        let oldest = isOlderUnneeded ? try log.part(after: kept[kept.count - 1].begin) : nil
        try publish { manifest in
            manifest.snapshots = kept
            if let oldest { manifest.oldestSegment = oldest }
        }
        endRot(with: snapshot.number)
        try directory.removeLeftovers(opened.withLock { $0.manifest }, starting: false)
        if let oldest { try log.trim(before: oldest) }
        return kept.count < Manifest.snapshotsMax || kept[1].end < snapshot.begin
    }
}
