// What the keeper does about a log that has failed: a snapshot of everything, and a log that begins behind it.
//
// Knows when to try and what a manifest has to say; the files of the log are its own affair (`LogBackend.heal`). Writes are
// refused meanwhile, so the snapshot is of one moment, and nobody is slowed down by taking it at full speed.

import LarderEngine
import LarderPlatform
import Synchronization

/// When the next attempt is due. Asks no clock.
struct HealingSchedule {
    private var dueAt: Int64?
    /// How long the log was left alone before the attempt that is due.
    private var wait: Int64 = 0
    private var healedAt: Int64 = .min

    private static let nanoseconds: Int64 = 1_000_000

    /// - Returns: Whether an attempt is due, now that the log is seen to have failed.
    mutating func isDue(_ options: PersistenceOptions, now: Int64) -> Bool {
        if let dueAt { return now >= dueAt }
        // A disk on which the log fails again and again does not get a snapshot each second.
        let isSettled = healedAt == .min || now - healedAt > options.healMillisecondsMax * Self.nanoseconds
        wait = isSettled ? options.healMilliseconds * Self.nanoseconds : longer(options)
        dueAt = now + wait
        return wait == 0
    }

    /// - Returns: How long it is until the next attempt, in milliseconds.
    mutating func failed(_ options: PersistenceOptions, now: Int64) -> Milliseconds {
        wait = longer(options)
        dueAt = now + wait
        return wait / Self.nanoseconds
    }

    mutating func succeeded(now: Int64) {
        healedAt = now
        dueAt = nil
    }

    private func longer(_ options: PersistenceOptions) -> Int64 {
        min(max(2 * wait, options.healMilliseconds * Self.nanoseconds), options.healMillisecondsMax * Self.nanoseconds)
    }
}

/// How healing went since the start.
package struct HealingStatistics: Sendable, Equatable {
    package var succeeded = 0
    package var failed = 0
    /// Why the last attempt failed, if it did.
    package var lastError: PersistenceError?
}

extension DurableStore {
    /// Does about a log that has failed what the options say.
    func attend(to log: any LogBackend) {
        guard log.state == .failed else { return }
        switch options.onLogFailure {
        case .heal: if healing.withLock({ $0.isDue(options, now: clock.elapsed()) }) { tryToHeal(log) }
        case .readOnly: break
        case .exit: options.giveUp(log.condition)
        }
    }

    private func tryToHeal(_ log: any LogBackend) {
        do throws(PersistenceError) {
            try heal(log)
        } catch {
            // The next attempt finds the room that was kept.
            if case .system(let cause, let file) = error { _ = log.giveRoom(because: cause, file: file) }
            let next = healing.withLock { $0.failed(options, now: clock.elapsed()) }
            healingBox.withLock { statistics in
                statistics.failed += 1
                statistics.lastError = error
            }
            options.events.add(.healingFailed(error, nextMilliseconds: next))
        }
    }

    private func heal(_ log: any LogBackend) throws(PersistenceError) {
        try oneAtATime.withLock { _ throws(PersistenceError) in
            let number = snapshots.withLock { $0.giveNumber() }
            let began = clock.elapsed()
            var written: WrittenSnapshot?
            do throws(PersistenceError) {
                try log.heal { (position: LSN) throws(PersistenceError) in
                    written = try write(number, from: position, log, pace: unpaced()) { position }
                } publish: { (part: UInt32) throws(PersistenceError) in
                    guard let written else { preconditionFailure("published before it was saved") }
                    try beginAnew(with: written.snapshot, part: part)
                }
            } catch {
                finish(failed: true)
                throw error
            }
            healing.withLock { $0.succeeded(now: clock.elapsed()) }
            healingBox.withLock { statistics in
                statistics.succeeded += 1
                statistics.lastError = nil
            }
            guard let written else { return }
            options.events.add(
                .healed(
                    snapshot: number, entries: written.entries, bytes: written.snapshot.bytes,
                    milliseconds: (clock.elapsed() - began) / 1_000_000, isLow: log.state == .low))
            note(written, bytesWritten: log.bytesWritten, keepsMore: false, began: began)
            endRot(with: number)
            finish(failed: false)
            removeWhatWentBefore(log)
        }
    }

    /// Names the snapshot and the part, and nothing that was before them. Twice: the manifest before the current one must not lead
    /// back to a state that lacks what is acknowledged from now on.
    private func beginAnew(with snapshot: Manifest.Snapshot, part: UInt32) throws(PersistenceError) {
        let now = max(clock.wall(), buffer.appliedLSN.milliseconds)
        // The reserve was not renewed while the log had failed.
        let ceiling = max(buffer.ceiling, LSN(milliseconds: now + options.ceilingMilliseconds))
        for _ in 0..<2 {
            try publish { manifest in
                manifest.snapshots = [snapshot]
                manifest.oldestSegment = part
                manifest.durable = max(manifest.durable, snapshot.end)
                manifest.ceiling = max(manifest.ceiling, ceiling)
            }
        }
        buffer.ceiling = ceiling
    }

    /// What cannot be removed now is removed another time.
    private func removeWhatWentBefore(_ log: any LogBackend) {
        let manifest = opened.withLock { $0.manifest }
        try? directory.removeLeftovers(manifest, starting: false)
        try? log.trim(before: manifest.oldestSegment)
    }

    package var healingStatistics: HealingStatistics { healingBox.withLock { $0 } }
}
