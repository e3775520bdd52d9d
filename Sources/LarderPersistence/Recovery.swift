// Rebuilds the state from a data directory, and changes nothing in it: a snapshot, and the log after it.
//
// Shared by the server's start and by the check of a directory, so there is one reader of each format. What is rebuilt is a
// prefix of the log, or a refusal that says which file, where and why.

import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

/// What recovery read.
struct Recovered {
    var report = RecoveryReport()
    var log = ReplayOutcome()
    /// The chosen snapshot as the manifest names it.
    var snapshot: Manifest.Snapshot?
    /// What it holds, before compression.
    var snapshotRawBytes: Int64 = 0
}

/// One reading of a directory.
struct Recovery {
    let files: any FileSystem
    let manifest: Manifest
    let log: any ClosedLog
    let progress: RecoveryProgress
    let threads: Int

    /// Reads everything that the state consists of. Entries of the snapshot are applied in any order, records of the log in
    /// theirs as far as it matters, both by several threads.
    func run(into state: any RestorableState) throws(PersistenceError) -> Recovered {
        var recovered = Recovered()
        var populating: Thread?
        // Before anything is returned to, so that nobody uses the state after this has returned.
        defer { populating?.join() }
        let snapshot = try choose(&recovered.report, state, &populating)
        let begin = snapshot?.entry.begin ?? .zero
        guard let logBytes = try log.byteCount(after: begin) else {
            let damaged = recovered.report.damagedSnapshots
            throw damaged.isEmpty ? .fileMissing(file: FileName.segmentName(manifest.oldestSegment)) : .snapshotsDamaged(damaged)
        }
        progress.expect(logBytes)
        if let snapshot {
            try expectRoom(for: snapshot.reader, logBytes: logBytes, in: state)
            progress.enter(.loading)
            state.expect(entries: Int(clamping: snapshot.reader.footer.entryCount))
            try load(snapshot.reader, into: state)
            recovered.snapshot = snapshot.entry
            recovered.snapshotRawBytes = Int64(clamping: snapshot.reader.footer.rawBytes)
            recovered.report.snapshot = snapshot.entry.number
            recovered.report.entriesLoaded = Int(snapshot.reader.footer.entryCount)
            recovered.report.bytesRead += snapshot.reader.byteCount
        }
        progress.enter(.replaying)
        // A record from before the snapshot began is older than the entry that was loaded.
        recovered.log = try replay(after: begin, into: state)
        state.expect(entries: 0)
        if state.recordsWithoutMemory > 0 { throw .outOfMemory(reading: "the log", bytesMax: state.memoryBytesMax) }
        if let snapshot, recovered.log.reached < snapshot.entry.end {
            throw .logEndsBeforeSnapshot(
                file: snapshot.reader.name, reached: recovered.log.reached, end: snapshot.entry.end)
        }
        if let newest = manifest.snapshots.first, newest == snapshot?.entry { recovered.report.olderDamage = olderDamage() }
        recovered.finish()
        return recovered
    }

    /// Why the log that would stand in for the newest snapshot is not there. Only the headers are looked at.
    private func olderDamage() -> PersistenceError? {
        do throws(PersistenceError) {
            // What begins later has no older generation.
            _ = try log.byteCount(after: manifest.snapshots.dropFirst().first?.begin ?? .zero)
            return nil
        } catch {
            return error
        }
    }

    private func replay(after begin: LSN, into state: any RestorableState) throws(PersistenceError) -> ReplayOutcome {
        var replay = ReplayThreads(threads, state: state, progress: progress)
        do throws(PersistenceError) {
            // Only whole frames that were verified come here, so what is applied is a prefix of the log, whatever follows.
            let outcome = try log.read(after: begin, progress: progress) { record in replay.apply(record) }
            replay.finish()
            return outcome
        } catch {
            replay.finish()
            throw error
        }
    }

    // MARK: Snapshots

    private struct Chosen {
        let entry: Manifest.Snapshot
        let reader: SnapshotReader
    }

    /// The newest snapshot of which every byte is right. It is read twice, first only to be summed: once entries have been
    /// applied there is no way back.
    ///
    /// - Parameter populating: A thread that gets memory for the entries meanwhile: reading waits for the disk.
    private func choose(
        _ report: inout RecoveryReport, _ state: any RestorableState, _ populating: inout Thread?
    ) throws(PersistenceError) -> Chosen? {
        progress.enter(.verifying)
        for entry in manifest.snapshots {
            do throws(SnapshotDamage) {
                let reader = try SnapshotReader(files: files, number: entry.number)
                try reader.check(against: entry, directory: manifest.directory)
                progress.expect(reader.byteCount * 2)
                if populating == nil && threads > 1 {
                    let bytes = memoryBytesMin(for: reader, in: state)
                    if bytes <= state.memoryBytesMax { populating = try? Thread(name: "populate") { state.populate(bytes: bytes) } }
                }
                try forEachBlock(of: reader) { (block, stored, _, _) throws(SnapshotDamage) in
                    _ = try reader.readStored(block, into: &stored)
                }
                return Chosen(entry: entry, reader: reader)
            } catch {
                // Written by a newer version: an older snapshot would hide what that version did since.
                switch error.reason {
                case .newerFormat(let major):
                    throw .newerFormat(file: error.file, major: major, known: Int(FormatVersion.major))
                case .unknownFeatures(let bits): throw .unknownFeatures(file: error.file, bits: bits)
                default:
                    let refusal = PersistenceError(error)
                    if refusal.isRefusal { throw refusal }
                    report.damagedSnapshots.append(error)
                }
            }
        }
        return nil
    }

    /// Refuses a snapshot that cannot be held, before anything is loaded: memory that is used up later would mean as much
    /// reading for nothing, at every attempt.
    ///
    /// Its entries are all different, and replaying the log frees none of them before they are loaded; only those of a
    /// namespace that was made during the walk are passed over, and they are in the log. So what is left without the log's
    /// bytes is needed for certain.
    private func expectRoom(
        for reader: SnapshotReader, logBytes: Int64, in state: any RestorableState
    ) throws(PersistenceError) {
        let entries = Int(clamping: reader.footer.entryCount)
        let bytesMin = memoryBytesMin(for: reader, in: state)
        guard bytesMin - Int(logBytes) > state.memoryBytesMax else { return }
        throw .willNotFit(file: reader.name, entries: entries, bytesMin: bytesMin, bytesMax: state.memoryBytesMax)
    }

    private func memoryBytesMin(for reader: SnapshotReader, in state: any RestorableState) -> Int {
        state.memoryBytesMin(entries: Int(clamping: reader.footer.entryCount), bodyBytes: reader.bodyBytesMin)
    }

    private func load(_ reader: SnapshotReader, into state: any RestorableState) throws(PersistenceError) {
        do throws(SnapshotDamage) {
            // The namespaces before the entries that are in them.
            var stored = ByteBuffer()
            var raw = ByteBuffer()
            var inflater = Inflater()
            try reader.load(0, stored: &stored, raw: &raw, inflater: &inflater) { state.apply($0) }
            try forEachBlock(of: reader, from: 1) { (block, stored, raw, inflater) throws(SnapshotDamage) in
                // What does not fit is refused as a whole, so there is no use in reading on.
                if state.recordsWithoutMemory > 0 { return }
                var numbers: [UInt64] = []
                try reader.load(block, stored: &stored, raw: &raw, inflater: &inflater) { entry in
                    numbers.append(state.number(of: entry) ?? 0)
                }
                RecordBatch.apply(raw.bytes, numbers, to: state)
            }
        } catch {
            throw .snapshotsDamaged([error])
        }
        if state.recordsWithoutMemory > 0 { throw .outOfMemory(reading: reader.name, bytesMax: state.memoryBytesMax) }
    }

    /// Runs `body` for every block, on as many threads as there are to be; each claims the next block.
    private func forEachBlock(
        of reader: SnapshotReader, from first: Int = 0,
        _ body: @Sendable (Int, inout ByteBuffer, inout ByteBuffer, inout Inflater) throws(SnapshotDamage) -> Void
    ) throws(SnapshotDamage) {
        let next = Atomic<Int>(first)
        let failure = Mutex<SnapshotDamage?>(nil)
        let count = reader.index.count
        runConcurrently(threads: min(threads, (count - first) / 8 + 1)) {
            var stored = ByteBuffer()
            var raw = ByteBuffer()
            var inflater = Inflater()
            while true {
                let block = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard block < count else { return }
                do throws(SnapshotDamage) {
                    try body(block, &stored, &raw, &inflater)
                    progress.note(Int64(reader.index[block].storedBytes))
                } catch {
                    // The first in the file is the one to report.
                    failure.withLock { if $0.map({ error.offset < $0.offset }) ?? true { $0 = error } }
                    next.store(count, ordering: .relaxed)
                    return
                }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }
}

extension Recovered {
    fileprivate mutating func finish() {
        report.recordsReplayed = log.recordCount
        report.bytesRead += log.bytesRead
        report.cutFile = log.tail?.file
        report.bytesCut = log.tail?.bytes ?? 0
        report.reached = log.reached
        report.newestWall = log.newestWall
    }
}

/// Runs `body` on `threads` threads, this one included, and returns when all have returned.
private func runConcurrently(threads: Int, _ body: @Sendable () -> Void) {
    // The threads end before this returns, so `body` does not outlive the call.
    withoutActuallyEscaping(body) { body in
        var others: [Thread] = []
        for index in 1..<max(threads, 1) {
            // A thread that cannot be had is work for the others.
            if let thread = try? Thread(name: "load-\(index)", body) { others.append(thread) }
        }
        body()
        for thread in others { thread.join() }
    }
}
