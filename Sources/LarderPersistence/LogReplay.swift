// Reads the log back, frame by frame, and decides what its end means: an ordinary torn tail, or damage.
//
// Knows nothing of snapshots or of the store; records go to a closure. Every frame says how far the log was known to be on
// the medium when it was written, so the frames behind a hole prove whether the hole was promised.
// Files are read from the medium, not from the cache: after a failed sync the cache shows bytes that were never written.

import LarderBytes
import LarderEngine
import LarderPlatform

/// Where a torn tail begins.
package struct TornTail: Equatable, Sendable {
    package let file: String
    package let offset: Int
    package let bytes: Int
    package let reason: FrameFault
}

/// What the log was found to be.
package struct ReplayOutcome: Equatable, Sendable {
    /// The LSN that the log has reached.
    package var reached = LSN.zero
    /// The header checksum of the last frame, to which the next one is chained.
    package var checksum: UInt32 = 0
    package var lastSegment: UInt32 = 0
    /// Where the last frame of that segment ends.
    package var end = 0
    package var epoch: UInt32 = 0
    package var frameCount = 0
    package var recordCount = 0
    package var bytesRead: Int64 = 0
    /// Of frames that were replayed; a preallocated segment is larger than what is in it.
    package var frameBytes: Int64 = 0
    package var newestWall: Milliseconds = 0
    /// No LSN above this was given, as far as the segments say.
    package var ceiling = LSN.zero
    package var tail: TornTail?
    /// The last frame says that the server stopped in order.
    package var endsClean = false

    package init() {}
}

/// The log of one directory.
struct LogReplay {
    let files: any FileSystem
    let directory: DirectoryID
    /// Everything up to here was promised, as the manifest says.
    let promised: LSN
    /// Whether files may be synced before they are read.
    let syncsFirst: Bool
    let progress: RecoveryProgress

    /// A file is read only if it is not longer than this; a segment is a fraction of it.
    static let segmentBytesMax: Int64 = 1 << 30

    /// The headers of the segments `first...`, which must be there without a gap, in order.
    ///
    /// One that begins anew counts only as the first: any other is what an attempt to heal has left, and no manifest names it.
    ///
    /// - Parameter position: Only those that what came after it is in, if there are such: what is older need not be readable.
    static func headers(
        _ numbers: [UInt32], from first: UInt32, after position: LSN? = nil, files: any FileSystem, directory: DirectoryID
    ) throws(PersistenceError) -> [SegmentHeader] {
        // From the newest on.
        var headers: [SegmentHeader] = []
        for number in numbers.reversed() where number >= first {
            let header = try self.header(number, files: files)
            if header.beginsAnew, number != first { continue }
            guard header.directory == directory, header.number == number else {
                throw .foreignFile(file: FileName.segmentName(number))
            }
            if let next = headers.last {
                guard next.number == number + 1 else { throw .fileMissing(file: FileName.segmentName(number + 1)) }
                guard next.previousLSN >= header.previousLSN, next.epoch >= header.epoch, next.firstLSN > next.previousLSN
                else { throw .segmentDamaged(file: FileName.segmentName(next.number), offset: 0, reason: .sequence) }
            }
            headers.append(header)
            if let position, header.previousLSN <= position { return headers.reversed() }
        }
        if let oldest = headers.last, oldest.number != first { throw .fileMissing(file: FileName.segmentName(first)) }
        return headers.reversed()
    }

    /// What a segment says of itself; it may be another than its name says.
    static func header(_ number: UInt32, files: any FileSystem) throws(PersistenceError) -> SegmentHeader {
        let name = FileName.segmentName(number)
        var bytes = ByteBuffer()
        try naming(name) { () throws(SystemError) in
            let file = try files.open(name, .read)
            _ = try file.read(at: 0, count: SegmentHeader.byteCount, into: &bytes)
            try file.close()
        }
        return try SegmentHeader(parsing: bytes.bytes, file: name)
    }

    /// The same of a directory that need not be sound: nil when it cannot be read, or is that of another segment.
    static func headerIfWhole(_ number: UInt32, files: any FileSystem) -> SegmentHeader? {
        guard let header = try? header(number, files: files), header.number == number else { return nil }
        return header
    }

    /// Reads the segments of `headers`, which are in order and without a gap, and hands their records to `apply`.
    func run(
        _ headers: [SegmentHeader], _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) -> ReplayOutcome {
        var outcome = ReplayOutcome()
        var bytes = ByteBuffer()
        for (place, header) in headers.enumerated() {
            let next = place + 1 < headers.count ? headers[place + 1] : nil
            let name = FileName.segmentName(header.number)
            try read(name, into: &bytes)
            outcome.bytesRead += Int64(bytes.count)
            outcome.ceiling = max(outcome.ceiling, header.ceiling)
            outcome.newestWall = max(outcome.newestWall, header.wall)
            outcome.lastSegment = header.number
            outcome.epoch = header.epoch
            try replay(bytes.bytes, header, next, name, &outcome, apply)
            progress.note(Int64(bytes.count))
        }
        return outcome
    }

    private func read(_ name: String, into bytes: inout ByteBuffer) throws(PersistenceError) {
        bytes.removeAll()
        let size = try naming(name) { () throws(SystemError) in
            let file = try files.open(name, .read)
            if syncsFirst { try file.sync() }
            file.dropCache()
            let size = try file.size()
            if size <= Self.segmentBytesMax { _ = try file.read(at: 0, count: Int(size), into: &bytes) }
            try file.close()
            return size
        }
        guard size <= Self.segmentBytesMax else { throw .segmentDamaged(file: name, offset: 0, reason: .tooLong(bytes: size)) }
        guard bytes.count >= SegmentHeader.byteCount else {
            throw .segmentDamaged(file: name, offset: bytes.count, reason: .short)
        }
    }

    private func replay(
        _ bytes: RawSpan, _ header: SegmentHeader, _ next: SegmentHeader?, _ name: String, _ outcome: inout ReplayOutcome,
        _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) {
        var cursor = FrameCursor(header)
        defer {
            outcome.reached = cursor.reached
            outcome.checksum = cursor.checksum
            outcome.end = cursor.position
            outcome.frameCount += cursor.frameCount
        }
        while true {
            // A segment with a successor ends where the successor says; what follows there is a tail that was cut.
            if let next, next.previousLSN == cursor.reached, next.previousChecksum == cursor.checksum { return }
            switch cursor.look(in: bytes) {
            case .frame(let frame, let payload):
                let last = try Self.records(
                    bytes.slice(payload), frame, at: payload.start, name, reached: cursor.reached, apply)
                cursor.advance(past: frame, reaching: last)
                if frame.recordCount > 0 { progress.note(frameAt: frame.wall) }
                outcome.recordCount += Int(frame.recordCount)
                outcome.frameBytes += Int64(FrameHeader.byteCount + frame.payloadBytes)
                outcome.newestWall = max(outcome.newestWall, frame.wall)
                outcome.endsClean = frame.flags.contains(.clean)
            case .stop(let fault):
                try judge(fault, cursor, bytes, header, next, name, &outcome)
                return
            }
        }
    }

    /// The tail rule.
    private func judge(
        _ fault: FrameFault, _ cursor: FrameCursor, _ bytes: RawSpan, _ header: SegmentHeader, _ next: SegmentHeader?,
        _ name: String, _ outcome: inout ReplayOutcome
    ) throws(PersistenceError) {
        let evidence = TailEvidence(in: bytes, from: cursor.position, salt: header.salt)
        // The change of segments syncs the old one first, so all that the successor continues was promised.
        let promised = max(promised, evidence.promised, next?.previousLSN ?? .zero)
        guard promised <= cursor.reached, next == nil else {
            throw .logDamaged(
                file: name, offset: cursor.position, reason: fault, reached: cursor.reached, promised: promised)
        }
        // What was written behind its end nobody can know.
        guard bytes.byteCount >= header.fileBytes else {
            throw .segmentDamaged(file: name, offset: bytes.byteCount, reason: .cut(from: header.fileBytes))
        }
        outcome.ceiling = max(outcome.ceiling, evidence.given)
        let end = FrameCursor.end(ofBytes: bytes, from: cursor.position)
        if end > cursor.position {
            outcome.tail = TornTail(file: name, offset: cursor.position, bytes: end - cursor.position, reason: fault)
            outcome.endsClean = false
        }
    }

    /// Hands the records of a frame to `apply`, and returns the last one's LSN.
    private static func records(
        _ payload: RawSpan, _ frame: FrameHeader, at start: Int, _ name: String, reached: LSN,
        _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) -> LSN {
        if frame.recordCount == 0 { return max(reached, frame.firstLSN) }
        var position = 0
        var count: UInt32 = 0
        var last = reached
        var isOrdered = true
        while isOrdered, position < payload.byteCount {
            do throws(LogRecordError) {
                let record = try LogRecord(parsing: payload.extracting(position..<payload.byteCount))
                isOrdered = count == 0 ? record.lsn == frame.firstLSN : record.lsn > last
                if isOrdered {
                    last = record.lsn
                    position += record.byteCount
                    count += 1
                    apply(record)
                }
            } catch {
                throw .recordDamaged(file: name, offset: start + position, reason: .record(error))
            }
        }
        guard isOrdered else { throw .recordDamaged(file: name, offset: start + position, reason: .lsnOrder) }
        guard count == frame.recordCount else { throw .recordDamaged(file: name, offset: start, reason: .count) }
        return last
    }
}
