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
        let writer = RescueWriter(files: files, options: options, directory: directory, clock: clock)
        let refusal: PersistenceError
        do throws(PersistenceError) {
            let recovered = try strict(found)
            guard let damage else { return nil }
            // No LSN that was ever given is below this, as after any damaged manifest.
            manifest.ceiling = max(manifest.ceiling, floor(after: recovered.log.newestWall, recovered.log.reached, clock))
            let aside = try writer.withRoom { () throws(PersistenceError) in
                let aside = try writer.setAside()
                try directory.publish(manifest)
                return aside
            }
            return Self.report(rebuiltBecause: damage, recovered, aside: aside)
        } catch {
            refusal = error
        }
        guard let mode = order.mode, refusal.isForRescue else { throw refusal }
        let state = makeState()
        var kept = try RescueReader(files: files, found: found, refusal: refusal, random: options.random).read(mode, into: state)
        guard state.recordsWithoutMemory == 0 else { throw .outOfMemory(reading: "what is left", bytesMax: state.memoryBytesMax) }
        guard state.recordsNotApplied == 0 else { throw .recordsNotApplied(count: state.recordsNotApplied) }
        kept.report.refusal = damage ?? refusal
        kept.report.rebuiltManifest = damage != nil
        let start = floor(after: kept.newestWall, max(kept.given, manifest.ceiling), clock)
        let epoch = max(manifest.epoch, kept.epoch) + 1
        kept.report.aside = try writer.withRoom { () throws(PersistenceError) in
            let aside = try writer.setAside()
            // Before anything new is there, so that of a rescue which is cut off nothing is taken for part of the old state.
            if damage != nil {
                manifest.ceiling = start
                try directory.publish(manifest)
            }
            try writer.save(state, manifest, epoch: epoch, at: start)
            return aside
        }
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
            var kept = try? RescueReader(files: files, found: found, refusal: error, random: rescue.options.random)
                .read(mode, into: ForgottenState())
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
}

extension PersistenceError {
    /// Whether reading less strictly may help: something is damaged, missing or unreadable.
    var isForRescue: Bool {
        switch self {
        case .system: !isRefusal
        case .fileMissing, .foreignFile, .segmentDamaged, .logDamaged, .recordDamaged, .snapshotsDamaged,
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
