// Rot is found while it can still be mended: now and then all files at rest are read again, a little at a time, on the keeper's thread.
//
// The state in memory is the truth, so what has rotted needs no repair but a new snapshot: it takes the place of the damaged one, or
// lets the damaged part of the log go. Nobody waits for any of this; what is read in a second is bounded.

import LarderEngine
import LarderPlatform
import Synchronization

/// What reading files again has come to since the start.
package struct ScrubStatistics: Sendable, Equatable {
    package var bytes: Int64 = 0
    /// Damaged files that were found.
    package var errors = 0
    /// When the last round ended, Unix milliseconds; 0: none did in this start.
    package var lastWall: Milliseconds = 0

    package init() {}
}

/// When files are read, and how much of them. Asks no clock.
struct ScrubRound: Sendable {
    /// Still to be read in this round.
    private var files: [any FileAtRest] = []
    private var isUnderWay = false
    private var dueAt: Int64?
    /// How many bytes may be read by now; below zero after a large piece.
    private var allowed: Int64 = 0
    private var last: Int64 = 0

    private static let nanosecondsPerMillisecond: Int64 = 1_000_000
    private static let nanosecondsPerSecond: Int64 = 1_000_000_000

    /// - Parameter begin: Names the files of a round that begins.
    /// - Returns: Whether there is anything to do now.
    mutating func goOn(_ options: PersistenceOptions, now: Int64, begin: () -> [any FileAtRest]) -> Bool {
        guard options.scrubMilliseconds > 0 else { return false }
        if !isUnderWay {
            let dueAt = self.dueAt ?? now + options.scrubMilliseconds * Self.nanosecondsPerMillisecond
            self.dueAt = dueAt
            guard now >= dueAt else { return false }
            files = begin()
            isUnderWay = true
            last = now - Self.nanosecondsPerSecond
        }
        // No more than a second's worth at once, however long nobody came.
        let elapsed = min(max(now - last, 0), Self.nanosecondsPerSecond)
        let rate = Int64(options.scrubBytesPerSecond)
        allowed = min(allowed + elapsed * rate / Self.nanosecondsPerSecond, rate)
        last = now
        return true
    }

    /// Reads the next piece, if that may be read now.
    ///
    /// - Returns: How many bytes were read; nil when nothing more may be, or is to be, read now.
    mutating func readOn() throws(DamageAtRest) -> Int? {
        guard allowed > 0, !files.isEmpty else { return nil }
        do throws(DamageAtRest) {
            guard let bytes = try files[0].readOn() else {
                files.removeFirst()
                return 0
            }
            allowed -= Int64(bytes)
            return bytes
        } catch {
            files.removeFirst()
            throw error
        }
    }

    /// - Returns: Whether the round has come to its end.
    mutating func endIfDone(_ options: PersistenceOptions, now: Int64) -> Bool {
        guard isUnderWay, files.isEmpty else { return false }
        isUnderWay = false
        dueAt = now + options.scrubMilliseconds * Self.nanosecondsPerMillisecond
        return true
    }
}

/// What was found damaged and is not replaced yet.
struct Rot: Sendable, Equatable {
    /// Snapshots that are not to be kept: damaged, or in need of a part of the log that is.
    var snapshots: Set<UInt32> = []
    var isInLog = false
    var isFound = false
}

extension DurableStore {
    /// Reads on, if it is time to.
    func scrub(_ log: any LogBackend) {
        let (events, isOver) = scrubRound.withLock { round -> ([DamageAtRest], Bool) in
            guard round.goOn(options, now: clock.elapsed(), begin: { filesAtRest(log) }) else { return ([], false) }
            var found: [DamageAtRest] = []
            while !isClosing.load(ordering: .acquiring) {
                do throws(DamageAtRest) {
                    guard let bytes = try round.readOn() else { break }
                    scrubBox.withLock { $0.bytes += Int64(bytes) }
                } catch {
                    found.append(error)
                }
            }
            return (found, round.endIfDone(options, now: clock.elapsed()))
        }
        for damage in events { note(damage) }
        if isOver { scrubBox.withLock { $0.lastWall = clock.wall() } }
    }

    private func filesAtRest(_ log: any LogBackend) -> [any FileAtRest] {
        let manifest = opened.withLock { $0.manifest }
        var all: [any FileAtRest] = manifest.snapshots.map {
            SnapshotAtRest(files: directory.files, directory: manifest.directory, entry: $0)
        }
        do throws(DamageAtRest) {
            all += try log.filesAtRest()
        } catch {
            note(error)
        }
        return all
    }

    func note(_ damage: DamageAtRest) {
        let manifest = opened.withLock { $0.manifest }
        let name = FileName(damage.file)
        switch name {
        // It has gone in the meantime.
        case .snapshot(let number) where !manifest.snapshots.contains { $0.number == number }: return
        case .segment(let number) where number < manifest.oldestSegment: return
        default: break
        }
        options.events.add(.rot(damage))
        guard damage.isLasting else { return }
        scrubBox.withLock { $0.errors += 1 }
        rot.withLock { rot in
            rot.isFound = true
            if case .snapshot(let number) = name {
                rot.snapshots.insert(number)
            } else {
                rot.isInLog = true
                rot.snapshots.formUnion(manifest.snapshots.map(\.number))
            }
        }
        snapshots.withLock { $0.note(isRotten: true) }
    }

    /// Nothing that was found damaged is named by the manifest any more.
    func endRot(with snapshot: UInt32) {
        let wasFound = rot.withLock { rot in
            defer { rot = Rot() }
            return rot.isFound
        }
        snapshots.withLock { $0.note(isRotten: false) }
        if wasFound { options.events.add(.mended(snapshot: snapshot)) }
    }

    package var scrubStatistics: ScrubStatistics { scrubBox.withLock { $0 } }
    /// Something at rest is damaged, and no snapshot has taken its place yet.
    package var isRotten: Bool { rot.withLock { $0.isFound } }
}
