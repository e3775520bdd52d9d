// Reads what is left of a damaged directory: a prefix, or every record that is whole.
//
// Believes nothing without its checksum, like the reader of a start; only it goes on where that one refuses.

import LarderBytes
import LarderEngine
import LarderPlatform

/// What was read.
struct Rescued {
    var report: RescueReport
    /// The highest LSN that anything readable speaks of.
    var given = LSN.zero
    var newestWall: Milliseconds = 0
    var epoch: UInt32 = 0
}

/// One reading of a damaged directory.
struct RescueReader {
    let files: any FileSystem
    let found: Rescue.Found
    let refusal: PersistenceError

    private var manifest: Manifest { found.manifest }

    func read(_ mode: RescueMode, into state: any RestorableState) throws(PersistenceError) -> Rescued {
        var rescued = Rescued(report: RescueReport(refusal: refusal, mode: mode))
        let numbers = DataDirectory.segments(try naming(files.path) { () throws(SystemError) in try files.list() })
        var segments: [Segment] = []
        for number in numbers {
            let header = LogReplay.headerIfWhole(number, files: files)
            let segment = Segment(number: number, header: header?.directory == manifest.directory ? header : nil)
            // What an attempt to heal has left, and no manifest names.
            if let header = segment.header, header.beginsAnew, number != manifest.oldestSegment { continue }
            segments.append(segment)
            rescued.given = max(rescued.given, segment.header?.ceiling ?? .zero, segment.header?.previousLSN ?? .zero)
            rescued.newestWall = max(rescued.newestWall, segment.header?.wall ?? 0)
            rescued.epoch = max(rescued.epoch, segment.header?.epoch ?? 0)
        }
        switch mode {
        case .truncate: try truncate(segments, into: state, &rescued)
        case .salvage: salvage(segments, into: state, &rescued)
        }
        rescued.given = max(rescued.given, rescued.report.reached)
        return rescued
    }

    private struct Segment {
        let number: UInt32
        let header: SegmentHeader?
        var name: String { FileName.segmentName(number) }
    }

    /// The bytes of a segment, from the medium; nil when they cannot be read.
    private func content(_ segment: Segment) -> ByteBuffer? {
        var bytes = ByteBuffer()
        guard let file = try? files.open(segment.name, .read) else { return nil }
        file.dropCache()
        guard let size = try? file.size(), size <= LogReplay.segmentBytesMax,
            (try? file.read(at: 0, count: Int(size), into: &bytes)) != nil
        else { return nil }
        return bytes
    }

    // MARK: Snapshots

    private func isWhole(_ entry: Manifest.Snapshot) -> SnapshotReader? {
        guard let reader = try? SnapshotReader(files: files, number: entry.number),
            (try? reader.check(against: entry, directory: manifest.directory)) != nil, (try? reader.loadAll { _ in }) != nil
        else { return nil }
        return reader
    }

    private func load(_ reader: SnapshotReader, into state: any RestorableState, _ rescued: inout Rescued) {
        rescued.report.snapshot = reader.header.number
        rescued.given = max(rescued.given, reader.footer.end)
        rescued.newestWall = max(rescued.newestWall, reader.footer.wall)
        var stored = ByteBuffer()
        var raw = ByteBuffer()
        var inflater = Inflater()
        for block in reader.index.indices {
            do throws(SnapshotDamage) {
                var entries = 0
                try reader.load(block, stored: &stored, raw: &raw, inflater: &inflater) { entry in
                    state.apply(entry)
                    entries += 1
                }
                if block > 0 { rescued.report.entriesLoaded += entries }
            } catch {
                rescued.report.losses.append("\(error.file) at byte \(error.offset): \(reader.index[block].entryCount) entries")
            }
        }
    }

    // MARK: A prefix

    private func truncate(
        _ segments: [Segment], into state: any RestorableState, _ rescued: inout Rescued
    ) throws(PersistenceError) {
        var headers: [SegmentHeader] = []
        for segment in segments where segment.number >= manifest.oldestSegment {
            guard let header = segment.header, headers.last.map({ $0.number + 1 == header.number }) ?? true else { break }
            headers.append(header)
        }
        let readers: [SnapshotReader?] = manifest.snapshots.compactMap { isWhole($0) } + [nil]
        for reader in readers {
            let begin = reader?.header.begin ?? .zero
            guard let first = headers.lastIndex(where: { $0.previousLSN <= begin }) else { continue }
            let prefix = prefix(Array(headers[first...]), after: begin) { _ in }
            if let reader, prefix.reached < reader.footer.end { continue }
            if let reader { load(reader, into: state, &rescued) }
            _ = self.prefix(Array(headers[first...]), after: begin) { state.apply($0) }
            rescued.report.recordsApplied = prefix.records
            rescued.report.reached = prefix.reached
            rescued.newestWall = max(rescued.newestWall, prefix.newestWall)
            rescued.report.losses.append("everything after \(prefix.stop)")
            return
        }
        throw refusal
    }

    private struct Prefix {
        var reached = LSN.zero
        var records = 0
        var newestWall: Milliseconds = 0
        var stop = ""
    }

    /// Hands the records above `begin` to `apply`, up to the first frame that is not right.
    private func prefix(
        _ headers: [SegmentHeader], after begin: LSN, _ apply: (borrowing LogRecord) -> Void
    ) -> Prefix {
        var prefix = Prefix()
        for (place, header) in headers.enumerated() {
            let segment = Segment(number: header.number, header: header)
            let next = place + 1 < headers.count ? headers[place + 1] : nil
            var cursor = FrameCursor(header)
            prefix.reached = cursor.reached
            guard let bytes = content(segment) else {
                prefix.stop = "the beginning of \(segment.name)"
                return prefix
            }
            var isAtEnd = false
            while !isAtEnd {
                if let next, next.previousLSN == cursor.reached, next.previousChecksum == cursor.checksum {
                    isAtEnd = true
                } else if case .frame(let frame, let payload) = cursor.look(in: bytes.bytes),
                    let last = records(bytes.bytes.slice(payload), frame, begin, &prefix, apply)
                {
                    cursor.advance(past: frame, reaching: last)
                    prefix.reached = last
                    prefix.newestWall = max(prefix.newestWall, frame.wall)
                } else {
                    prefix.stop = "byte \(cursor.position) of \(segment.name), LSN \(cursor.reached.rawValue)"
                    return prefix
                }
            }
        }
        prefix.stop = "the end of the log"
        return prefix
    }

    /// - Returns: The LSN of the last record of the frame; nil when one of them is not right.
    private func records(
        _ payload: RawSpan, _ frame: FrameHeader, _ begin: LSN, _ prefix: inout Prefix, _ apply: (borrowing LogRecord) -> Void
    ) -> LSN? {
        if frame.recordCount == 0 { return max(prefix.reached, frame.firstLSN) }
        // First all of them: a frame is there whole or not at all.
        var last = prefix.reached
        for isDry in [true, false] {
            var position = 0
            var lsn = prefix.reached
            while position < payload.byteCount {
                guard let record = try? LogRecord(parsing: payload.extracting(position..<payload.byteCount)), record.lsn > lsn else {
                    return nil
                }
                lsn = record.lsn
                position += record.byteCount
                if !isDry, lsn > begin {
                    apply(record)
                    prefix.records += 1
                }
            }
            last = lsn
        }
        return last
    }

    // MARK: Every record

    private func salvage(_ segments: [Segment], into state: any RestorableState, _ rescued: inout Rescued) {
        var begin = LSN.zero
        let whole = manifest.snapshots.lazy.compactMap { isWhole($0) }.first
        // Else the newest of which anything can be found.
        let reader = whole ?? manifest.snapshots.lazy.compactMap { entry -> SnapshotReader? in
            guard let reader = try? SnapshotReader(files: files, number: entry.number) else { return nil }
            return reader.header.directory == manifest.directory ? reader : nil
        }.first
        if let reader {
            load(reader, into: state, &rescued)
            // What the lost blocks held may still be in the log.
            if whole != nil { begin = reader.header.begin }
        }
        var expected = manifest.oldestSegment
        var last = LSN.zero
        for (place, segment) in segments.enumerated() {
            if segment.number > expected {
                rescued.report.losses.append("\(FileName.segmentName(expected)) to \(FileName.segmentName(segment.number - 1)): missing")
            }
            expected = max(expected, segment.number + 1)
            guard let bytes = content(segment) else {
                rescued.report.losses.append("\(segment.name): cannot be read")
                continue
            }
            // What follows there is a tail that an earlier start has cut.
            let next = place + 1 < segments.count ? segments[place + 1] : nil
            let end = next.flatMap { $0.number == segment.number + 1 ? $0.header?.previousLSN : nil } ?? LSN(rawValue: .max)
            scan(bytes.bytes, segment, after: begin, through: end, &last, &rescued) { state.apply($0) }
        }
        rescued.report.reached = max(last, begin)
        // What is gone without a trace: nothing behind it says that it was there, but a promise does.
        if case .fileMissing(let file) = refusal, !rescued.report.losses.contains(where: { $0.contains(file) }) {
            rescued.report.losses.append("\(file): missing")
        } else if rescued.report.reached < manifest.durable {
            rescued.report.losses.append("LSNs after \(rescued.report.reached.rawValue), through \(manifest.durable.rawValue) at least")
        }
    }

    /// Finds the frames of a segment wherever they stand, and hands their whole records to `apply`.
    private func scan(
        _ bytes: RawSpan, _ segment: Segment, after begin: LSN, through end: LSN, _ last: inout LSN, _ rescued: inout Rescued,
        _ apply: (borrowing LogRecord) -> Void
    ) {
        var salt = segment.header?.salt
        var position = SegmentHeader.byteCount
        var lostFrom: Int?
        if segment.header == nil { rescued.report.losses.append("\(segment.name): its header") }
        while position + FrameHeader.byteCount <= bytes.byteCount {
            guard bytes.littleEndian(at: position, as: UInt32.self) == FrameHeader.magic,
                let frame = FrameHeader(parsing: bytes, at: position), frame.segment == segment.number, frame.salt == salt ?? frame.salt
            else {
                if lostFrom == nil, bytes.littleEndian(at: position, as: UInt64.self) != 0 { lostFrom = position }
                position += FrameHeader.alignment
                continue
            }
            if let from = lostFrom { rescued.report.losses.append("\(segment.name) bytes \(from) to \(position - 1)") }
            lostFrom = nil
            salt = frame.salt
            rescued.newestWall = max(rescued.newestWall, frame.wall)
            rescued.given = max(rescued.given, frame.firstLSN, frame.durableLSN)
            let start = position + FrameHeader.byteCount
            let count = min(frame.payloadBytes, bytes.byteCount - start)
            if frame.recordCount > 0, frame.firstLSN <= end {
                salvage(bytes.extracting(start..<(start + count)), segment, start, begin, end, &last, &rescued, apply)
            }
            position += frame.stride
        }
        if let from = lostFrom { rescued.report.losses.append("\(segment.name) from byte \(from) on") }
    }

    private func salvage(
        _ payload: RawSpan, _ segment: Segment, _ start: Int, _ begin: LSN, _ end: LSN, _ last: inout LSN, _ rescued: inout Rescued,
        _ apply: (borrowing LogRecord) -> Void
    ) {
        var position = 0
        while position + LogRecord.headerBytes <= payload.byteCount {
            if let record = try? LogRecord(parsing: payload.extracting(position..<payload.byteCount)) {
                rescued.given = max(rescued.given, record.lsn)
                if record.lsn > last, record.lsn <= end {
                    last = record.lsn
                    if record.lsn > begin {
                        apply(record)
                        rescued.report.recordsApplied += 1
                    }
                }
                position += record.byteCount
            } else {
                rescued.report.losses.append("a record in \(segment.name) at byte \(start + position)")
                // The next one stands where the length says, if that is right.
                let length = Int(payload.littleEndian(at: position + 4, as: UInt32.self))
                guard length >= LogRecord.headerBytes, length <= payload.byteCount - position else { return }
                position += length
            }
        }
    }
}
