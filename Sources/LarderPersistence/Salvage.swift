// Reads every record and every block of a snapshot that is whole in a damaged directory, also behind the damage.
//
// Twice: what the files say of each other decides what is taken, and is known only when all have been seen. A file that says
// that it is another directory's gives nothing. What cannot be read, and what is not there, is named.

import LarderBytes
import LarderEngine
import LarderPlatform

extension RescueReader {
    /// What the first reading has found of a segment.
    private struct Surveyed {
        let segment: Segment
        /// What follows this is a tail that an earlier start has cut.
        let end: LSN
        /// That of the frames which are this segment's; nil: it gives nothing.
        var salt: UInt64?
        /// What is wrong with the file as a whole.
        var loss: String?
    }

    /// What the first reading has found of the log.
    private struct Survey {
        var segments: [Surveyed] = []
        /// As far as frames say; a ceiling is only a promise.
        var reached = LSN.zero
        var namespaces = NamespaceTraces()
    }

    func salvage(
        _ segments: [Segment], into state: any RestorableState, _ rescued: inout Rescued
    ) throws(PersistenceError) {
        var survey = survey(segments)
        let snapshot = try chooseSnapshot(survey.reached, &rescued.report.losses)
        let begin = snapshot.map { $0.isWhole ? $0.reader.header.begin : .zero } ?? .zero
        if let snapshot {
            var scratch = rescued
            load(snapshot.reader, &scratch) { survey.namespaces.note($0, isInSnapshot: true) }
        }
        var lost = survey.namespaces.lost(after: begin)
        for number in lost.keys.sorted() { lost[number]?.make(in: state, random) }
        func apply(_ record: borrowing LogRecord) {
            lost[record.namespace]?.records += 1
            state.apply(record)
        }
        if let snapshot {
            load(snapshot.reader, &rescued) { apply($0) }
        } else if let first = segments.first(where: { !$0.isForeign })?.header, first.previousLSN > .zero {
            rescued.report.losses.append("everything through LSN \(first.previousLSN.rawValue), which only a snapshot holds")
        }
        replay(survey, after: begin, &rescued) { apply($0) }
        for number in lost.keys.sorted() { lost[number].map { rescued.report.losses.append($0.loss) } }
        // The manifest may be the foreign one.
        if snapshot == nil, rescued.report.recordsApplied == 0, segments.contains(where: \.isForeign) { throw refusal }
    }

    // MARK: Snapshots

    /// The newest snapshot that is whole, under whatever name; else the newest of which anything can be read. One that no
    /// manifest names counts if the log has reached its end: a rescue that was cut off leaves one that is above all the log's.
    private func chooseSnapshot(
        _ reached: LSN, _ losses: inout [String]
    ) throws(PersistenceError) -> (reader: SnapshotReader, isWhole: Bool)? {
        let names = try naming(files.path) { () throws(SystemError) in try files.list() }
        let readers = DataDirectory.snapshots(names).compactMap { number -> SnapshotReader? in
            let reader = try? SnapshotReader(files: files, name: FileName.snapshotName(number), number: nil)
            guard let reader, reader.header.directory == manifest.directory, isNamed(reader) || reader.footer.end <= reached
            else { return nil }
            return reader
        }.sorted { ($0.header.begin, $0.header.number) > ($1.header.begin, $1.header.number) }
        let whole = readers.first { (try? $0.loadAll { _ in }) != nil }
        let chosen = whole ?? readers.first
        for entry in manifest.snapshots {
            // What an older one holds, a whole one holds as well, or its successor.
            if let chosen, whole == nil ? chosen.header.number == entry.number : chosen.header.begin >= entry.begin { continue }
            if let fault = fault(of: entry, readers) { losses.append(fault) }
        }
        return chosen.map { ($0, whole != nil) }
    }

    private func isNamed(_ reader: SnapshotReader) -> Bool {
        guard let entry = manifest.snapshots.first(where: { $0.number == reader.header.number }) else { return false }
        return (try? reader.check(against: entry, directory: manifest.directory)) != nil
    }

    /// Why a snapshot that the manifest names is not used.
    private func fault(of entry: Manifest.Snapshot, _ readers: [SnapshotReader]) -> String? {
        do throws(SnapshotDamage) {
            let found = readers.first { $0.header.number == entry.number }
            let reader = if let found { found } else { try SnapshotReader(files: files, number: entry.number) }
            try reader.check(against: entry, directory: manifest.directory)
            try reader.loadAll { _ in }
            return nil
        } catch {
            if error.reason == .missing { return "\(error.file): missing" }
            return "\(error.file): not used, damaged at byte \(error.offset) (\(error.reason))"
        }
    }

    // MARK: The log

    private func survey(_ segments: [Segment]) -> Survey {
        var survey = Survey()
        var before: Set<UInt32> = []
        for (place, segment) in segments.enumerated() {
            let isFollowed = place + 1 < segments.count && segments[place + 1].number == segment.number + 1
            var frames: Set<UInt32> = []
            let found = look(at: segment, after: before, before: isFollowed ? segments[place + 1].header : nil, &survey, &frames)
            survey.segments.append(found)
            before = isFollowed ? frames : []
        }
        return survey
    }

    /// - Parameters:
    ///   - before: The checksums of the frames of the segment before; none when they are not known.
    ///   - frames: Gets those of this one.
    private func look(
        at segment: Segment, after before: Set<UInt32>, before next: SegmentHeader?, _ survey: inout Survey, _ frames: inout Set<UInt32>
    ) -> Surveyed {
        var found = Surveyed(segment: segment, end: next?.previousLSN ?? LSN(rawValue: .max))
        if segment.isForeign {
            found.loss = "belongs to another data directory or to another place in this one"
            return found
        }
        guard let bytes = content(segment) else {
            found.loss = "cannot be read"
            return found
        }
        if let header = segment.header {
            found.salt = header.salt
            frames.insert(header.previousChecksum)
            survey.reached = max(survey.reached, header.previousLSN)
        } else {
            let (salt, isProven) = salt(bytes.bytes, segment.number, after: before, before: next)
            found.salt = salt
            found.loss = isProven ? "its header" : "its header; nothing proves that its frames are of this directory"
            if salt == nil { found.loss = "its header; no frame is of this directory" }
        }
        guard let salt = found.salt else { return found }
        SegmentScan(segment: segment.number, salt: salt, end: found.end).run(bytes.bytes) { frame in
            frames.insert(frame.checksum)
            survey.reached = max(survey.reached, frame.firstLSN, frame.durableLSN)
        } record: { record in
            survey.reached = max(survey.reached, record.lsn)
            survey.namespaces.note(record, isInSnapshot: false)
        } loss: { _ in
        }
        return found
    }

    /// The salt of a segment that has lost its header: that of a frame which continues the segment before it, or is continued by
    /// the one behind it. Where neither can be told, that of its first frame.
    ///
    /// - Returns: nil when there is no frame, or the first of all continues another log; and whether a neighbour proves it.
    private func salt(
        _ bytes: RawSpan, _ number: UInt32, after before: Set<UInt32>, before next: SegmentHeader?
    ) -> (UInt64?, isProven: Bool) {
        var first: (salt: UInt64, position: Int)?
        var position = SegmentHeader.byteCount
        while position + FrameHeader.byteCount <= bytes.byteCount {
            if let frame = FrameHeader(parsing: bytes, at: position), frame.segment == number {
                let isChained = before.contains(frame.previousChecksum) || frame.checksum == next?.previousChecksum
                if isChained { return (frame.salt, true) }
                if first == nil { first = (frame.salt, position) }
            }
            position += FrameHeader.alignment
        }
        // The oldest segment may continue nothing.
        if first?.position == SegmentHeader.byteCount, !before.isEmpty, number > manifest.oldestSegment { return (nil, false) }
        return (first?.salt, false)
    }

    private func replay(
        _ survey: Survey, after begin: LSN, _ rescued: inout Rescued, _ apply: (borrowing LogRecord) -> Void
    ) {
        // Behind a snapshot no more is needed than what it begins in.
        let first = begin > .zero ? survey.segments.last { $0.segment.header.map { $0.previousLSN <= begin } ?? false } : nil
        var expected = first?.segment.number ?? manifest.oldestSegment
        var last = LSN.zero
        for found in survey.segments {
            let segment = found.segment
            if segment.number > expected {
                let last = segment.number - 1 > expected ? " to \(FileName.segmentName(segment.number - 1))" : ""
                rescued.report.losses.append("\(FileName.segmentName(expected))\(last): missing")
            }
            expected = max(expected, segment.number + 1)
            if let loss = found.loss { rescued.report.losses.append("\(segment.name): \(loss)") }
            guard let salt = found.salt, let bytes = content(segment) else { continue }
            SegmentScan(segment: segment.number, salt: salt, end: found.end).run(bytes.bytes) { frame in
                rescued.newestWall = max(rescued.newestWall, frame.wall)
                rescued.given = max(rescued.given, frame.firstLSN, frame.durableLSN)
            } record: { record in
                rescued.given = max(rescued.given, record.lsn)
                guard record.lsn > last else { return }
                last = record.lsn
                if record.lsn > begin {
                    apply(record)
                    rescued.report.recordsApplied += 1
                }
            } loss: { what in
                rescued.report.losses.append("\(segment.name) \(what)")
            }
        }
        rescued.report.reached = max(last, begin)
        // What is gone without a trace: nothing behind it says that it was there, but a promise does.
        if refusal == .fileMissing(file: FileName.segmentName(expected)) {
            rescued.report.losses.append("\(FileName.segmentName(expected)): missing")
        } else if rescued.report.reached < manifest.durable {
            let lost = (rescued.report.reached.rawValue, manifest.durable.rawValue)
            rescued.report.losses.append("LSNs after \(lost.0), through \(lost.1) at least")
        }
    }
}

/// Finds the frames of one segment wherever they stand, and their records that are whole.
private struct SegmentScan {
    let segment: UInt32
    let salt: UInt64
    /// Records behind this are passed over.
    let end: LSN

    func run(
        _ bytes: RawSpan, frame noteFrame: (FrameHeader) -> Void, record apply: (borrowing LogRecord) -> Void,
        loss: (String) -> Void
    ) {
        var position = SegmentHeader.byteCount
        var lostFrom: Int?
        while position + FrameHeader.byteCount <= bytes.byteCount {
            guard let frame = FrameHeader(parsing: bytes, at: position), frame.segment == segment, frame.salt == salt else {
                if lostFrom == nil, bytes.littleEndian(at: position, as: UInt64.self) != 0 { lostFrom = position }
                position += FrameHeader.alignment
                continue
            }
            if let from = lostFrom { loss("bytes \(from) to \(position - 1)") }
            lostFrom = nil
            noteFrame(frame)
            let start = position + FrameHeader.byteCount
            let count = min(frame.payloadBytes, bytes.byteCount - start)
            if frame.recordCount > 0, frame.firstLSN <= end {
                records(bytes.extracting(start..<(start + count)), start, apply, loss)
            }
            position += frame.stride
        }
        if let from = lostFrom { loss("from byte \(from) on") }
    }

    private func records(
        _ payload: RawSpan, _ start: Int, _ apply: (borrowing LogRecord) -> Void, _ loss: (String) -> Void
    ) {
        var position = 0
        while position + LogRecord.headerBytes <= payload.byteCount {
            if let record = try? LogRecord(parsing: payload.extracting(position..<payload.byteCount)) {
                if record.lsn <= end { apply(record) }
                position += record.byteCount
            } else {
                loss("at byte \(start + position): a record")
                // The next one stands where the length says, if that is right.
                let length = Int(payload.littleEndian(at: position + 4, as: UInt32.self))
                guard length >= LogRecord.headerBytes, length <= payload.byteCount - position else { return }
                position += length
            }
        }
    }
}
