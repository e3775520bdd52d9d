// The log at rest in the data directory: segments in order and without a gap.
//
// Knows which segments belong and where a new one has to begin; what is in them is for `LogReplay`.

import LarderBytes
import LarderEngine
import LarderPlatform

/// The segments that earlier starts left.
struct SegmentedLog: ClosedLog {
    let files: any FileSystem
    let manifest: Manifest
    /// The manifest is the one before a damaged one, so what it calls oldest may be gone by now.
    let isPrevious: Bool
    /// Whether files may be synced before they are read; not when the directory is only looked at.
    let syncsFirst: Bool

    func byteCount(after position: LSN) throws(PersistenceError) -> Int64? {
        guard let headers = try headers(after: position) else { return nil }
        var total: Int64 = 0
        for header in headers {
            total += try naming(FileName.segmentName(header.number)) { () throws(SystemError) in
                let file = try files.open(FileName.segmentName(header.number), .read)
                defer { try? file.close() }
                return try file.size()
            }
        }
        return total
    }

    func read(
        after position: LSN, progress: RecoveryProgress, _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) -> ReplayOutcome {
        guard let headers = try headers(after: position) else { throw missing(manifest.oldestSegment) }
        let replay = LogReplay(
            files: files, directory: manifest.directory, promised: manifest.durable, syncsFirst: syncsFirst, progress: progress)
        return try replay.run(headers) { record in
            if record.lsn > position { apply(record) }
        }
    }

    func open(
        _ start: LogStart, buffer: LogBuffer, clock: any Clock, options: PersistenceOptions
    ) throws(PersistenceError) -> any LogBackend {
        let ballast = Ballast(files: files, byteCount: options.ballastBytes)
        if let tail = start.past.tail { try setAside(tail, at: clock.wall(), ballast, options.events) }
        let header = SegmentHeader(
            number: max(start.past.lastSegment + 1, manifest.oldestSegment), directory: manifest.directory, epoch: start.epoch,
            previousChecksum: start.past.checksum, firstLSN: LSN(rawValue: start.floor.rawValue + 1),
            previousLSN: start.past.reached, salt: options.random(), ceiling: start.ceiling, wall: start.wall)
        let log = try WriteAheadLog(
            files: files, clock: clock, buffer: buffer, options: options, header: header, floor: start.floor,
            oldestSegment: oldest(DataDirectory.segments(try names())), ballast: ballast)
        shrink(start.past)
        return log
    }

    /// Gives back what was preallocated in the segment that was the last one, now that another follows, which says where it ends. Or
    /// every start would take room, and on a full disk there would soon be none to start in.
    private func shrink(_ past: ReplayOutcome) {
        let end = max(past.end, past.tail.map { $0.offset + $0.bytes } ?? 0)
        let name = FileName.segmentName(past.lastSegment)
        // What a rescue has set aside is kept as it was, and it is the same file.
        guard end > 0, let names = try? names(), !names.contains(where: { files.isAside($0, of: name) }),
            let file = try? files.open(name, .update)
        else { return }
        if let size = try? file.size(), size > end {
            // Nothing rests on it, but what a power cut brings back nobody takes away again.
            try? file.truncate(to: Int64(end))
            try? file.sync()
        }
        try? file.close()
    }

    // MARK: Segments

    /// The segments that hold what came after `position`; nil when the first one begins later.
    private func headers(after position: LSN) throws(PersistenceError) -> [SegmentHeader]? {
        let names = try names()
        let numbers = DataDirectory.segments(names)
        let headers = try LogReplay.headers(
            numbers, from: oldest(numbers), after: position, files: files, directory: manifest.directory)
        // A spare is made only when the segment before it has its name, and durably.
        let last = headers.last?.number ?? 0
        for name in names {
            if case .spare(let number) = FileName(name), number > last + 1 { throw missing(number - 1) }
        }
        // None at all is right only before the first one was made.
        if headers.isEmpty, manifest.epoch > 0 { throw missing(manifest.oldestSegment) }
        guard let first = headers.first else { return [] }
        return first.previousLSN <= position ? headers : nil
    }

    private func names() throws(PersistenceError) -> [String] {
        try naming(files.path) { () throws(SystemError) in try files.list() }
    }

    /// The first segment that belongs.
    private func oldest(_ numbers: [UInt32]) -> UInt32 {
        let first = isPrevious ? numbers.first { $0 >= manifest.oldestSegment } : nil
        return first ?? manifest.oldestSegment
    }

    private func missing(_ segment: UInt32) -> PersistenceError { .fileMissing(file: FileName.segmentName(segment)) }

    /// Copies a torn tail to a file of its own. The bytes are on the medium when this returns; the name is with that of the segment which is
    /// begun then, and until the tail's own segment goes nothing depends on either. Without room for that the tail stays where
    /// it is, until its segment goes: it is kept for a person, and nothing reads it.
    private func setAside(
        _ tail: TornTail, at time: Milliseconds, _ ballast: Ballast, _ events: StorageEvents
    ) throws(PersistenceError) {
        let name = FileName.asideName(tail.file, at: time)
        do throws(SystemError) {
            do throws(SystemError) {
                try copy(tail, to: name)
            } catch {
                guard error.isOutOfSpace, ballast.give() else { throw error }
                try copy(tail, to: name)
            }
        } catch {
            try? files.remove(name)
            guard error.isOutOfSpace else { throw .system(error, file: name) }
            events.add(.notSetAside(file: tail.file, offset: tail.offset, error))
        }
    }

    private func copy(_ tail: TornTail, to name: String) throws(SystemError) {
        var bytes = ByteBuffer()
        let source = try files.open(tail.file, .read)
        _ = try source.read(at: Int64(tail.offset), count: tail.bytes, into: &bytes)
        try source.close()
        let target = try files.open(name, .replace)
        try target.writeAll(bytes.bytes, at: 0)
        try target.sync()
        try target.close()
    }
}
