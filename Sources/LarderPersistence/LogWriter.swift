// The end of the log: which file, where in it, and the frame that is being written.
//
// Used under a lock by one thread at a time. Writes at known positions, never "at the end": what was written in part or
// not at all is repeated with the same bytes at the same place, so a failed write leaves no hole. Decides nothing about errors.

import LarderBytes
import LarderEngine
import LarderPlatform

/// The open segment and the next byte of it.
struct LogWriter: ~Copyable {
    private(set) var file: any File
    private(set) var segment: UInt32
    private var salt: UInt64
    private var offset: Int64
    /// The header checksum of the last whole frame.
    private(set) var checksum: UInt32
    /// Where the log stands after the last whole frame.
    private(set) var reached: LSN
    /// Whether the segment holds frames with records.
    private(set) var hasRecords = false
    /// The watermark of the last whole frame.
    private(set) var watermark: LSN = .zero

    /// A batch taken from the staging buffer that is not yet a whole frame on disk.
    private var batch: LogBatch?
    private var payload = ByteBuffer()
    private var header = ByteBuffer(capacity: FrameHeader.byteCount)
    /// The frame that is being written; `done` bytes of it are.
    private var frame: FrameHeader?
    private var done = 0
    private var reaching: LSN = .zero

    init(file: any File, header: SegmentHeader) {
        self.file = file
        segment = header.number
        salt = header.salt
        offset = Int64(SegmentHeader.byteCount)
        checksum = header.previousChecksum
        reached = header.previousLSN
    }

    /// Goes on in another segment. The old one must have been synced; the caller closes it.
    mutating func change(to file: any File, _ header: SegmentHeader) {
        precondition(frame == nil, "a frame is being written")
        precondition(header.previousChecksum == checksum && header.previousLSN == reached, "the chain breaks")
        self.file = file
        segment = header.number
        salt = header.salt
        offset = Int64(SegmentHeader.byteCount)
        hasRecords = false
    }

    /// Takes what is staged, unless an earlier batch is still to be written.
    ///
    /// - Returns: Whether there is a batch to write.
    mutating func stage(from buffer: LogBuffer, wall: Milliseconds) -> Bool {
        precondition(batch != nil || frame == nil, "staging behind a frame that is not written")
        if batch == nil { batch = buffer.take(into: &payload, at: wall) }
        return batch != nil
    }

    /// Whether the frame that is being written is to be synced within the interval.
    var owesSync: Bool { batch?.owesSync ?? true }

    /// Records of the batch that is to be written.
    var recordsStaged: Int { batch.map { Int($0.recordCount) } ?? 0 }

    /// Whether a frame has been begun and is not written as a whole.
    var isWriting: Bool { frame != nil }

    /// Whether anything is to be written before a new frame can begin.
    var isBusy: Bool { frame != nil || batch != nil }

    /// Whether the staged batch has to go to another segment. A segment takes any first frame.
    func needsSegment(limit: Int) -> Bool {
        guard frame == nil, batch != nil, offset > Int64(SegmentHeader.byteCount) else { return false }
        return offset + Int64(FrameHeader.stride(payloadBytes: payload.count)) > Int64(limit)
    }

    /// Makes the staged batch a frame.
    mutating func beginFrame(durable: LSN) {
        guard frame == nil, let batch else { return }
        begin(
            FrameHeader(
                salt: salt, segment: segment, payload: payload.bytes, recordCount: UInt32(batch.recordCount),
                firstLSN: batch.firstLSN, durableLSN: durable, previousChecksum: checksum, flags: [], wall: batch.wall),
            reaching: batch.lastLSN)
    }

    /// Begins a frame without records, which says that the log has reached `lsn`.
    mutating func beginEmptyFrame(_ flags: FrameHeader.Flags, at lsn: LSN, durable: LSN, wall: Milliseconds) {
        precondition(!isBusy, "another frame comes first")
        begin(
            FrameHeader(
                salt: salt, segment: segment, payload: payload.bytes, recordCount: 0, firstLSN: lsn, durableLSN: durable,
                previousChecksum: checksum, flags: flags, wall: wall),
            reaching: lsn)
    }

    private mutating func begin(_ newFrame: FrameHeader, reaching: LSN) {
        precondition(reaching >= reached && newFrame.durableLSN <= reached, "the log goes backwards")
        var newFrame = newFrame
        header.removeAll()
        newFrame.append(to: &header)
        frame = newFrame
        done = 0
        self.reaching = reaching
    }

    /// Writes what is left of the frame that was begun, if there is one.
    ///
    /// - Returns: How many bytes of the file the frame takes; 0 when there was none.
    /// - Throws: The write's error. Calling again repeats the same bytes at the same place.
    mutating func push() throws(SystemError) -> Int {
        guard let frame else { return 0 }
        while done < FrameHeader.byteCount + payload.count {
            let written = try writeRest()
            done += written
        }
        offset += Int64(frame.stride)
        checksum = frame.checksum
        reached = reaching
        watermark = frame.durableLSN
        if frame.recordCount > 0 { hasRecords = true }
        payload.removeAll()
        batch = nil
        self.frame = nil
        return frame.stride
    }

    private borrowing func writeRest() throws(SystemError) -> Int {
        let head = header.bytes.extracting(min(done, FrameHeader.byteCount)..<FrameHeader.byteCount)
        let body = payload.bytes.extracting(max(done - FrameHeader.byteCount, 0)..<payload.count)
        return try file.write(head, body, at: offset + Int64(done))
    }
}
