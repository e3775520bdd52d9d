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
    /// Where the ids come from of namespaces whose own are lost.
    let random: @Sendable () -> UInt64

    var manifest: Manifest { found.manifest }

    func read(_ mode: RescueMode, into state: any RestorableState) throws(PersistenceError) -> Rescued {
        var rescued = Rescued(report: RescueReport(refusal: refusal, mode: mode))
        let numbers = DataDirectory.segments(try naming(files.path) { () throws(SystemError) in try files.list() })
        var segments: [Segment] = []
        for number in numbers {
            let segment = segment(number)
            // What an attempt to heal has left, and no manifest names.
            if let header = segment.header, header.beginsAnew, number != manifest.oldestSegment { continue }
            segments.append(segment)
            rescued.given = max(rescued.given, segment.header?.ceiling ?? .zero, segment.header?.previousLSN ?? .zero)
            rescued.newestWall = max(rescued.newestWall, segment.header?.wall ?? 0)
            rescued.epoch = max(rescued.epoch, segment.header?.epoch ?? 0)
        }
        switch mode {
        case .truncate: try truncate(segments, into: state, &rescued)
        case .salvage: try salvage(segments, into: state, &rescued)
        }
        rescued.given = max(rescued.given, rescued.report.reached)
        return rescued
    }

    struct Segment {
        let number: UInt32
        /// nil when it cannot be read, or says that the file is none of this directory, or has another place in it.
        let header: SegmentHeader?
        var isForeign = false
        var name: String { FileName.segmentName(number) }
    }

    private func segment(_ number: UInt32) -> Segment {
        guard let header = try? LogReplay.header(number, files: files) else { return Segment(number: number, header: nil) }
        let belongs = header.number == number && header.directory == manifest.directory
        return Segment(number: number, header: belongs ? header : nil, isForeign: !belongs)
    }

    /// The bytes of a segment, from the medium; nil when they cannot be read.
    func content(_ segment: Segment) -> ByteBuffer? {
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

    /// Hands all that is whole of a snapshot to `apply`.
    func load(_ reader: SnapshotReader, _ rescued: inout Rescued, _ apply: (borrowing LogRecord) -> Void) {
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
                    apply(entry)
                    entries += 1
                }
                if block > 0 { rescued.report.entriesLoaded += entries }
            } catch {
                let what = "\(reader.index[block].entryCount) \(block == 0 ? "namespaces" : "entries")"
                rescued.report.losses.append("\(error.file) at byte \(error.offset): \(what)")
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
            if let reader { load(reader, &rescued) { state.apply($0) } }
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
}
