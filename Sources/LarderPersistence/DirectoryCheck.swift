// Looks at a data directory and changes nothing: what `larder check DIR` prints.
//
// The same readers as a start, so there is no second parser; every snapshot and the whole log are read.

import LarderEngine
import LarderPlatform
import Synchronization

/// The verdict on a directory.
package struct DirectoryCheck: Sendable {
    /// nil: a start would be refused before it read one.
    package var manifest: Manifest?
    package var usedPreviousManifest = false
    /// Each kept snapshot, newest first, and what is wrong with it.
    package var snapshots: [(number: UInt32, entries: UInt64, damage: SnapshotDamage?)] = []
    /// What a start would read; nil when it would be refused.
    package var report: RecoveryReport?
    package var log: ReplayOutcome?
    /// There is nothing to check: a start would make a new data directory.
    package var isEmpty = false
    /// Why a start would be refused; nil when it would not.
    package var refusal: PersistenceError?

    /// What would make a start possible that is refused, and what each would keep.
    package var remedies: [(order: RescueOrder, report: RescueReport)] = []

    /// Why the older snapshot and the log behind it could not stand in for the newer one; nil when they could.
    package var olderRefusal: PersistenceError?

    /// What is wrong with the end of a log that was ended in order. A start goes on without it: nothing that was acknowledged is missing.
    package var endDamage: PersistenceError?

    /// Why the manifest before the current one could not stand in for that; nil when it could.
    package var previousDamage: PersistenceError?

    /// Everything that a start would be refused for, or pass over.
    package var findings: [PersistenceError] {
        [refusal, previousDamage, olderRefusal, endDamage].compactMap(\.self)
            + snapshots.compactMap { $0.damage.map { PersistenceError($0) } }
    }

    /// Whether a start would succeed with everything that the directory should hold.
    package var isSound: Bool { !isEmpty && !usedPreviousManifest && findings.isEmpty }

    /// Checks a directory. Refused while a server uses it.
    package init(directory files: any FileSystem, threads: Int = 2, progress: RecoveryProgress = RecoveryProgress()) {
        do throws(PersistenceError) {
            let directory = try DataDirectory(files: files, owner: "", writable: false)
            try directory.checkKinds()
            switch try directory.current() {
            case .empty: isEmpty = true
            case .manifest(let manifest):
                self.manifest = manifest
                previousDamage = try directory.previousDamage(of: manifest)
            case .previous(let manifest):
                self.manifest = manifest
                usedPreviousManifest = true
            }
            guard let manifest else { return }
            for entry in manifest.snapshots { snapshots.append(Self.check(entry, manifest, files)) }
            let log = SegmentedLog(files: files, manifest: manifest, isPrevious: usedPreviousManifest, syncsFirst: false)
            let recovery = Recovery(files: files, manifest: manifest, log: log, progress: progress, threads: threads)
            let recovered = try recovery.run(into: ForgottenState())
            let floor = max(recovered.log.reached, manifest.ceiling, LSN(milliseconds: recovered.log.newestWall))
            guard floor.milliseconds < ServerTime.wallEnd else { throw .lsnsUsedUp(through: floor) }
            report = recovered.report
            self.log = recovered.log
            if !usedPreviousManifest { endDamage = Self.checkEnd(recovered.log, manifest) }
            if !manifest.snapshots.isEmpty { olderRefusal = Self.checkOlder(manifest, files, threads) }
            withExtendedLifetime(directory) {}
        } catch {
            refusal = error
        }
        // What nobody may look at need not be damaged.
        if let refusal, !refusal.isRefusal { remedies = Self.remedies(files) }
    }

    private static func remedies(_ files: any FileSystem) -> [(order: RescueOrder, report: RescueReport)] {
        let plain = RescueOrder(rebuildsManifest: true)
        if let report = Rescue.preview(plain, directory: files) { return [(plain, report)] }
        return RescueMode.allCases.compactMap { mode in
            for rebuilds in [false, true] {
                let order = RescueOrder(mode: mode, rebuildsManifest: rebuilds)
                if let report = Rescue.preview(order, directory: files) { return (order, report) }
            }
            return nil
        }
    }

    /// Reads what a start would read if the newest snapshot were lost.
    private static func checkOlder(_ manifest: Manifest, _ files: any FileSystem, _ threads: Int) -> PersistenceError? {
        var older = manifest
        older.snapshots.removeFirst()
        let log = SegmentedLog(files: files, manifest: older, isPrevious: false, syncsFirst: false)
        let recovery = Recovery(files: files, manifest: older, log: log, progress: RecoveryProgress(), threads: threads)
        do throws(PersistenceError) {
            // Behind a snapshot that stands alone, as after healing, nothing is kept that could stand in for it.
            if older.snapshots.isEmpty, try log.byteCount(after: .zero) == nil { return nil }
            _ = try recovery.run(into: ForgottenState())
            return nil
        } catch {
            return error
        }
    }

    /// Nothing was written since the manifest says that the server stopped in order, so the log has to end with saying so too.
    private static func checkEnd(_ log: ReplayOutcome, _ manifest: Manifest) -> PersistenceError? {
        // A start that did not come as far as its manifest has begun a segment of its own.
        guard manifest.clean, log.epoch == manifest.epoch, !log.endsClean else { return nil }
        return .segmentDamaged(
            file: FileName.segmentName(log.lastSegment), offset: log.tail?.offset ?? log.end, reason: .stopMissing)
    }

    private static func check(
        _ entry: Manifest.Snapshot, _ manifest: Manifest, _ files: any FileSystem
    ) -> (number: UInt32, entries: UInt64, damage: SnapshotDamage?) {
        do throws(SnapshotDamage) {
            let reader = try SnapshotReader(files: files, number: entry.number)
            try reader.check(against: entry, directory: manifest.directory)
            try reader.loadAll { _ in }
            return (entry.number, reader.footer.entryCount, nil)
        } catch {
            return (entry.number, 0, error)
        }
    }
}
