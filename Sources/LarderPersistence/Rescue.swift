// Makes a directory that a start refuses one that it accepts, when an operator says so, and how.
//
// Never by itself: what is damaged had been promised. First everything that is there gets a second name (`aside-...`), and no old file
// is written to. What could be read is saved as a snapshot, with an empty log behind it and a manifest that names just these two;
// the ordinary start then reads them with the ordinary reader.

import LarderBytes
import LarderEngine
import LarderPlatform

/// What is kept of a damaged directory.
package enum RescueMode: String, Sendable, CaseIterable {
    /// Everything before the damage: the state as it was at that moment.
    case truncate
    /// Every record that is whole, also behind the damage. As much as there is, though it may never have been so at one moment: where
    /// the record of a removal is lost, its key is back.
    case salvage
}

/// What an operator allows.
package struct RescueOrder: Sendable, Equatable {
    package var mode: RescueMode?
    /// Makes a manifest from what the other files say of themselves, when none can be read.
    package var rebuildsManifest = false

    package init(mode: RescueMode? = nil, rebuildsManifest: Bool = false) {
        self.mode = mode
        self.rebuildsManifest = rebuildsManifest
    }

    package var isEmpty: Bool { mode == nil && !rebuildsManifest }
}

/// What a rescue has kept.
package struct RescueReport: Sendable, Equatable {
    /// Why a start was refused.
    package var refusal: PersistenceError
    package var mode: RescueMode?
    package var rebuiltManifest = false
    package var snapshot: UInt32?
    package var entriesLoaded = 0
    package var recordsApplied = 0
    /// The last LSN that is kept.
    package var reached = LSN.zero
    /// The same as a number.
    package var reachedNumber: UInt64 { reached.rawValue }
    /// What could not be read: files and places.
    package var losses: [String] = []
    /// The second names of what was there.
    package var aside: [String] = []
}

/// A rescue of one directory.
package struct Rescue {
    let files: any FileSystem
    let options: PersistenceOptions

    /// - Parameter makeState: Called when there is something to load: an empty state that is of no use afterwards.
    /// - Returns: nil when a start needs no help.
    /// - Throws: Why the directory stays as it is.
    package static func run(
        _ order: RescueOrder, directory files: any FileSystem, clock: any Clock, options: PersistenceOptions,
        state makeState: () -> any PersistentState
    ) throws(PersistenceError) -> RescueReport? {
        let directory = try DataDirectory(files: files, owner: options.owner)
        defer { directory.release() }
        return try Rescue(files: files, options: options).run(order, directory, clock, makeState)
    }

    private func run(
        _ order: RescueOrder, _ directory: DataDirectory, _ clock: any Clock, _ makeState: () -> any PersistentState
    ) throws(PersistenceError) -> RescueReport? {
        guard let (found, damage) = try manifest(directory, order) else { return nil }
        var manifest = found.manifest
        let refusal: PersistenceError
        do throws(PersistenceError) {
            let recovered = try strict(found)
            guard let damage else { return nil }
            // No LSN that was ever given is below this, as after any damaged manifest.
            manifest.ceiling = max(manifest.ceiling, floor(after: recovered.log.newestWall, recovered.log.reached, clock))
            let aside = try setAside(at: clock.wall())
            try directory.publish(manifest)
            return Self.report(rebuiltBecause: damage, recovered, aside: aside)
        } catch {
            refusal = error
        }
        guard let mode = order.mode, refusal.isForRescue else { throw refusal }
        let state = makeState()
        var kept = try RescueReader(files: files, found: found, refusal: refusal).read(mode, into: state)
        guard state.recordsWithoutMemory == 0 else { throw .outOfMemory(reading: "what is left", bytesMax: state.memoryBytesMax) }
        guard state.recordsNotApplied == 0 else { throw .recordsNotApplied(count: state.recordsNotApplied) }
        kept.report.refusal = damage ?? refusal
        kept.report.rebuiltManifest = damage != nil
        kept.report.aside = try setAside(at: clock.wall())
        let start = floor(after: kept.newestWall, max(kept.given, manifest.ceiling), clock)
        manifest.epoch = max(manifest.epoch, kept.epoch) + 1
        try save(state, manifest, at: start, directory, clock)
        return kept.report
    }

    /// What a rescue would keep, for a person to choose by. Changes nothing.
    package static func preview(_ order: RescueOrder, directory files: any FileSystem) -> RescueReport? {
        let rescue = Rescue(files: files, options: PersistenceOptions())
        guard let directory = try? DataDirectory(files: files, owner: "", writable: false) else { return nil }
        defer { directory.release() }
        guard let (found, damage) = try? rescue.manifest(directory, order) else { return nil }
        do throws(PersistenceError) {
            let recovered = try rescue.strict(found, syncsFirst: false)
            guard let damage else { return nil }
            return report(rebuiltBecause: damage, recovered)
        } catch {
            guard let mode = order.mode, error.isForRescue else { return nil }
            var kept = try? RescueReader(files: files, found: found, refusal: error).read(mode, into: ForgottenState())
            kept?.report.rebuiltManifest = damage != nil
            return kept?.report
        }
    }

    /// What a start finds once there is a manifest again.
    private static func report(
        rebuiltBecause damage: PersistenceError, _ recovered: Recovered, aside: [String] = []
    ) -> RescueReport {
        RescueReport(
            refusal: damage, rebuiltManifest: true, snapshot: recovered.report.snapshot,
            entriesLoaded: recovered.report.entriesLoaded, recordsApplied: recovered.report.recordsReplayed,
            reached: recovered.log.reached, aside: aside)
    }

    /// What there is to go by.
    struct Found {
        var manifest: Manifest
        var isPrevious: Bool
    }

    /// - Returns: And why none could be read, when one was made; nil for a directory without anything.
    private func manifest(
        _ directory: DataDirectory, _ order: RescueOrder
    ) throws(PersistenceError) -> (Found, PersistenceError?)? {
        do throws(PersistenceError) {
            switch try directory.current() {
            case .empty: return nil
            case .manifest(let manifest): return (Found(manifest: manifest, isPrevious: false), nil)
            case .previous(let manifest): return (Found(manifest: manifest, isPrevious: true), nil)
            }
        } catch {
            switch error {
            case .manifestMissing, .manifestDamaged:
                guard order.rebuildsManifest, let manifest = try ManifestRebuild(files: files).manifest(isLenient: order.mode != nil) else { throw error }
                return (Found(manifest: manifest, isPrevious: false), error)
            default: throw error
            }
        }
    }

    /// What a start would do.
    private func strict(_ found: Found, syncsFirst: Bool = true) throws(PersistenceError) -> Recovered {
        let log = SegmentedLog(files: files, manifest: found.manifest, isPrevious: found.isPrevious, syncsFirst: syncsFirst)
        let recovery = Recovery(
            files: files, manifest: found.manifest, log: log, progress: RecoveryProgress(), threads: options.loadThreads)
        return try recovery.run(into: ForgottenState())
    }

    /// Above every LSN that can have been given: what said so may be what is damaged.
    private func floor(after wall: Milliseconds, _ lsn: LSN, _ clock: any Clock) -> LSN {
        let ahead = 2 * max(options.ceilingMilliseconds, options.idleCeilingMilliseconds)
        return LSN(milliseconds: max(wall, lsn.milliseconds, clock.wall()) + ahead)
    }

    // MARK: Writing

    /// Gives everything of the old state a second name, which is on the medium when this returns.
    private func setAside(at time: Milliseconds) throws(PersistenceError) -> [String] {
        var aside: [String] = []
        let names = try naming(files.path) { () throws(SystemError) in try files.list() }
        var time = time
        // One that was cut off may have begun in the same millisecond.
        while names.contains(where: { $0.hasPrefix(FileName.asideName("", at: time)) }) { time += 1 }
        for name in names {
            switch FileName(name) {
            case .manifest, .previousManifest, .segment, .snapshot: break
            default: continue
            }
            let second = FileName.asideName(name, at: time)
            try naming(second) { () throws(SystemError) in try files.link(name, as: second) }
            aside.append(second)
        }
        try naming(files.path) { () throws(SystemError) in try files.syncDirectory() }
        return aside
    }

    /// Makes `state` the content of the directory. The manifest is the first to say so.
    private func save(
        _ state: any PersistentState, _ old: Manifest, at start: LSN, _ directory: DataDirectory, _ clock: any Clock
    ) throws(PersistenceError) {
        let names = try directory.names().map { FileName(FileName.withoutTemporarySuffix($0)) }
        var manifest = old
        let number = 1 + (names.compactMap { if case .snapshot(let number) = $0 { number } else { nil } } + old.snapshots.map(\.number)).reduce(0, max)
        let segment = 1 + names.compactMap { name -> UInt32? in
            switch name {
            case .segment(let number), .spare(let number): number
            default: nil
            }
        }.reduce(old.oldestSegment, max)
        let header = SegmentHeader(
            number: segment, directory: old.directory, epoch: manifest.epoch, previousChecksum: 0,
            firstLSN: LSN(rawValue: start.rawValue + 1), previousLSN: start, salt: options.random(), ceiling: start, wall: clock.wall(),
            beginsAnew: true)
        manifest.snapshots = [try write(state, number, manifest, at: start, clock)]
        try write(header)
        try naming(files.path) { () throws(SystemError) in try files.syncDirectory() }
        manifest.oldestSegment = segment
        manifest.durable = start
        manifest.ceiling = start
        manifest.clean = false
        // Twice, so that the manifest before it leads back to no damage.
        for _ in 0..<2 {
            manifest.generation += 1
            try directory.publish(manifest)
        }
    }

    private func write(_ header: SegmentHeader) throws(PersistenceError) {
        let name = FileName.segmentName(header.number)
        try naming(name) { () throws(SystemError) in
            let file = try files.open(FileName.temporaryName(name), .replace)
            var bytes = ByteBuffer()
            header.append(to: &bytes)
            try file.writeAll(bytes.bytes, at: 0)
            try file.sync()
            try file.close()
            try files.rename(FileName.temporaryName(name), to: name)
        }
    }

    private func write(
        _ state: any PersistentState, _ number: UInt32, _ manifest: Manifest, at start: LSN, _ clock: any Clock
    ) throws(PersistenceError) -> Manifest.Snapshot {
        let name = FileName.snapshotName(number)
        let draft = FileName.temporaryName(name)
        let header = SnapshotHeader(
            number: number, directory: manifest.directory, begin: start, epoch: manifest.epoch, wall: clock.wall())
        return try naming(draft) { () throws(SystemError) in
            let file = try files.open(draft, .replace)
            var writer = SnapshotWriter(file: file, header: header, syncBytes: options.snapshotSyncBytes)
            try writeBlocks(of: state, to: &writer)
            let snapshot = try writer.finish(end: start, wall: clock.wall())
            try file.close()
            try files.rename(draft, to: name)
            return snapshot
        }
    }

    private func writeBlocks(of state: any PersistentState, to writer: inout SnapshotWriter) throws(SystemError) {
        // Without threads there is nothing to end.
        var blocks = SnapshotBlocks(threads: 0, niceness: 0)
        try blocks.fill(from: state) { (blocks, rest) throws(SystemError) in
            while let done = blocks.next(leaving: rest) {
                _ = try done.write(to: &writer)
                blocks.giveBack(done)
            }
        }
        blocks.end()
    }
}

extension PersistenceError {
    /// Whether reading less strictly may help: something is damaged, missing or unreadable.
    var isForRescue: Bool {
        switch self {
        case .system, .fileMissing, .foreignFile, .segmentDamaged, .logDamaged, .recordDamaged, .snapshotsDamaged,
            .logEndsBeforeSnapshot:
            true
        default: false
        }
    }
}

/// Takes records and keeps none.
final class ForgottenState: RestorableState {
    func apply(_ record: borrowing LogRecord) {}
}
