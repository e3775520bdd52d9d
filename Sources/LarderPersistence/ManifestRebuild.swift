// Makes a manifest from what segments and snapshots say of themselves, when an operator asks for it because none can be read.
//
// What is lost with a manifest is the promise that nothing else was there: a newest segment that is gone leaves no trace. So it is
// never done without being asked for.

import LarderBytes
import LarderEngine
import LarderPlatform

struct ManifestRebuild {
    let files: any FileSystem

    /// - Parameter isLenient: Passes over segments of which not even the beginning can be read.
    /// - Returns: nil when there is nothing to make one from.
    /// - Throws: `foreignFile` when the files are of more than one directory, `segmentDamaged`.
    func manifest(isLenient: Bool) throws(PersistenceError) -> Manifest? {
        let names = try naming(files.path) { () throws(SystemError) in try files.list() }
        var headers: [SegmentHeader] = []
        for number in DataDirectory.segments(names) {
            if let header = LogReplay.headerIfWhole(number, files: files) {
                headers.append(header)
            } else if !isLenient {
                throw .segmentDamaged(file: FileName.segmentName(number), offset: 0, reason: .header)
            }
        }
        let snapshots = DataDirectory.snapshots(names).compactMap { whole($0) }
        guard let directory = headers.last?.directory ?? snapshots.last?.header.directory else { return nil }
        for header in headers where header.directory != directory { throw .foreignFile(file: FileName.segmentName(header.number)) }
        for snapshot in snapshots where snapshot.header.directory != directory { throw .foreignFile(file: snapshot.name) }
        // A log that healed begins behind its own snapshot. Without that the attempt came to nothing.
        let anew = headers.last { header in
            header.beginsAnew && snapshots.contains { $0.header.begin == header.previousLSN && $0.footer.end == header.previousLSN }
        }
        let chain = headers.filter { $0.number >= anew?.number ?? 0 && (!$0.beginsAnew || $0.number == anew?.number) }
        let first = Self.first(of: chain)
        let start = chain.first { $0.number == first }?.previousLSN ?? .zero
        // One from before the log begins cannot be completed by it.
        let usable = snapshots.reversed().filter { $0.header.begin >= start }.prefix(Manifest.snapshotsMax)
        var manifest = Manifest(directory: directory, oldestSegment: first)
        manifest.epoch = max(1, headers.map(\.epoch).max() ?? 0, snapshots.map(\.header.epoch).max() ?? 0)
        manifest.snapshots = usable.map { reader in
            Manifest.Snapshot(
                number: reader.header.number, begin: reader.header.begin, end: reader.footer.end, bytes: UInt64(reader.byteCount),
                digest: reader.footer.digest)
        }
        manifest.durable = chain.last?.previousLSN ?? .zero
        manifest.ceiling = headers.map(\.ceiling).max() ?? .zero
        return manifest
    }

    /// The first segment of the last run without a gap.
    private static func first(of chain: [SegmentHeader]) -> UInt32 {
        var first = chain.last?.number ?? 1
        for header in chain.reversed() where header.number + 1 == first { first = header.number }
        return first
    }

    private func whole(_ number: UInt32) -> SnapshotReader? {
        guard let reader = try? SnapshotReader(files: files, number: number), (try? reader.loadAll { _ in }) != nil else { return nil }
        return reader
    }
}
