// What can be done when there is no room for the snapshot that would make room: the older of the two goes first.
//
// Two are kept because one may rot. On a full disk that is worth less than a log that takes writes, if the newer one is whole.

import LarderEngine
import LarderPlatform
import Synchronization

extension DurableStore {
    /// On a disk that has no room for another snapshot: lets the older of the two go, and the log that only that one needs, if the
    /// newer is whole on the medium. Until there is another one, nothing stands in for it.
    ///
    /// - Returns: Whether there is more room now.
    func giveUpOlder(_ log: any LogBackend) -> Bool {
        oneAtATime.withLock { _ in
            let manifest = opened.withLock { $0.manifest }
            guard manifest.snapshots.count == Manifest.snapshotsMax, !isRotten, isWhole(manifest.snapshots[0], of: manifest)
            else { return false }
            let newest = manifest.snapshots[0]
            do throws(PersistenceError) {
                let oldest = try log.part(after: newest.begin)
                try publish { manifest in
                    manifest.snapshots = [newest]
                    manifest.oldestSegment = oldest
                }
                options.events.add(.olderGivenUp(number: manifest.snapshots[1].number, newest: newest.number))
                try directory.removeLeftovers(opened.withLock { $0.manifest }, starting: false)
                try log.trim(before: oldest)
                return true
            } catch {
                return false
            }
        }
    }

    /// Reads a snapshot from the medium.
    private func isWhole(_ snapshot: Manifest.Snapshot, of manifest: Manifest) -> Bool {
        var file = SnapshotAtRest(files: directory.files, directory: manifest.directory, entry: snapshot)
        do throws(DamageAtRest) {
            while try file.readOn() != nil {
                raiseCeiling()
                if isClosing.load(ordering: .acquiring) { return false }
            }
            return true
        } catch {
            note(error)
            return false
        }
    }
}
