// Puts what was read of a damaged directory in the place of what is there.
//
// The manifest is the first to say so: until it is published the new files count for nothing, and when it cannot be they are
// removed.

import LarderEngine
import LarderPlatform

/// The last part of one rescue.
struct RescueWriter {
    let files: any FileSystem
    let options: PersistenceOptions
    let directory: DataDirectory
    let clock: any Clock

    /// Does what needs room, again with that of the ballast when the disk is full. The next start lays it again.
    func withRoom<Result>(_ body: () throws(PersistenceError) -> Result) throws(PersistenceError) -> Result {
        do throws(PersistenceError) {
            return try body()
        } catch {
            guard case .system(let cause, _) = error, cause.isOutOfSpace, (try? files.remove(FileName.ballastName)) != nil
            else { throw error }
            return try body()
        }
    }

    /// Gives everything of the old state a second name, which is on the medium when this returns.
    ///
    /// - Returns: Those names, and those that it has since an earlier rescue was cut off.
    func setAside() throws(PersistenceError) -> [String] {
        var aside: [String] = []
        let names = try directory.names()
        var time = clock.wall()
        // One that was cut off may have begun in the same millisecond.
        while names.contains(where: { $0.hasPrefix(FileName.asideName("", at: time)) }) { time += 1 }
        for name in names {
            switch FileName(name) {
            case .manifest, .previousManifest, .segment, .snapshot: break
            default: continue
            }
            let second = names.first { files.isAside($0, of: name) } ?? FileName.asideName(name, at: time)
            if !names.contains(second) { try naming(second) { () throws(SystemError) in try files.link(name, as: second) } }
            aside.append(second)
        }
        try naming(files.path) { () throws(SystemError) in try files.syncDirectory() }
        return aside
    }

    /// Makes `state` the content of the directory.
    ///
    /// - Parameter old: The manifest as it is there.
    func save(_ state: any PersistentState, _ old: Manifest, epoch: UInt32, at start: LSN) throws(PersistenceError) {
        try removeDrafts()
        let names = try directory.names().map { FileName($0) }
        let snapshots = names.compactMap { if case .snapshot(let number) = $0 { number } else { nil } }
        let number = 1 + (snapshots + old.snapshots.map(\.number)).reduce(0, max)
        let segment = 1 + names.compactMap { name -> UInt32? in
            switch name {
            case .segment(let number), .spare(let number): number
            default: nil
            }
        }.reduce(old.oldestSegment, max)
        let wall = clock.wall()
        let snapshot = SnapshotHeader(number: number, directory: old.directory, begin: start, epoch: epoch, wall: wall)
        let header = SegmentHeader(
            number: segment, directory: old.directory, epoch: epoch, previousChecksum: 0,
            firstLSN: LSN(rawValue: start.rawValue + 1), previousLSN: start, salt: options.random(), ceiling: start, wall: wall, beginsAnew: true)
        do throws(PersistenceError) {
            var manifest = Manifest(
                directory: old.directory, epoch: epoch, generation: old.generation, snapshots: [try write(state, snapshot)],
                oldestSegment: segment, durable: start, ceiling: start)
            try write(header)
            try naming(files.path) { () throws(SystemError) in try files.syncDirectory() }
            // Twice, so that the manifest before it leads back to no damage.
            for _ in 0..<2 {
                manifest.generation += 1
                try directory.publish(manifest)
            }
        } catch {
            // The room is needed for the next attempt.
            if isUnused(segment) {
                try? files.remove(FileName.snapshotName(number))
                try? files.remove(FileName.segmentName(segment))
            }
            try? removeDrafts()
            throw error
        }
    }

    /// Whether no manifest can name the segment.
    private func isUnused(_ segment: UInt32) -> Bool {
        switch try? directory.current() {
        case .manifest(let manifest), .previous(let manifest): manifest.oldestSegment != segment
        case .empty, nil: false
        }
    }

    /// Removes what was being written when something ended a rescue, or a server.
    private func removeDrafts() throws(PersistenceError) {
        for name in try directory.names() where FileName(name) == .temporary {
            switch FileName(FileName.withoutTemporarySuffix(name)) {
            case .segment, .snapshot: try? files.remove(name)
            default: break
            }
        }
    }

    private func write(_ header: SegmentHeader) throws(PersistenceError) {
        let name = FileName.segmentName(header.number)
        try naming(name) { () throws(SystemError) in
            let file = try files.open(FileName.temporaryName(name), .replace)
            try SegmentFiles.write(header, to: file, bytes: SegmentHeader.byteCount)
            try file.sync()
            try file.close()
            try files.rename(FileName.temporaryName(name), to: name)
        }
    }

    private func write(_ state: any PersistentState, _ header: SnapshotHeader) throws(PersistenceError) -> Manifest.Snapshot {
        let name = FileName.snapshotName(header.number)
        let draft = FileName.temporaryName(name)
        return try naming(draft) { () throws(SystemError) in
            let file = try files.open(draft, .replace)
            var writer = SnapshotWriter(file: file, header: header, syncBytes: options.snapshotSyncBytes)
            try writeBlocks(of: state, to: &writer)
            let snapshot = try writer.finish(end: header.begin, wall: header.wall)
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
