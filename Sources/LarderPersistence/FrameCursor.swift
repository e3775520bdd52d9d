// Walks the frames of a segment, and where the walk stops, looks for what the file still proves.
//
// Pure functions over the bytes of a file: no I/O, so that every cut and every flipped bit can be tried in a test.
// Whether a stop is a torn tail or damage is decided by `LogReplay`, which knows the other files.

import LarderBytes
import LarderEngine

/// A position in the frames of one segment.
struct FrameCursor {
    let segment: UInt32
    let salt: UInt64
    /// Where the next frame begins, in bytes from the start of the file.
    private(set) var position = SegmentHeader.byteCount
    /// Where the log stands after the frames so far.
    private(set) var reached: LSN
    /// The header checksum of the last frame.
    private(set) var checksum: UInt32
    private(set) var frameCount = 0

    init(_ header: SegmentHeader) {
        segment = header.number
        salt = header.salt
        reached = header.previousLSN
        checksum = header.previousChecksum
    }

    enum Step {
        /// A frame that is whole and in its place; its payload lies at `payload`.
        case frame(FrameHeader, payload: ByteRange)
        case stop(FrameFault)
    }

    /// Looks at the frame at the position, without moving past it.
    func look(in bytes: RawSpan) -> Step {
        guard let header = FrameHeader(parsing: bytes, at: position) else {
            return .stop(Self.isZero(bytes, from: position) ? .end : bytes.byteCount - position < FrameHeader.byteCount ? .short : .header)
        }
        guard header.salt == salt, header.segment == segment else { return .stop(.foreign) }
        guard header.previousChecksum == checksum else { return .stop(.chain) }
        let start = position + FrameHeader.byteCount
        guard header.payloadBytes <= bytes.byteCount - start else { return .stop(.short) }
        guard Checksum.of(bytes.extracting(start..<(start + header.payloadBytes))) == header.payloadChecksum else {
            return .stop(.payload)
        }
        // A frame of records begins after what was reached; one without may say again where the log stands.
        guard header.recordCount == 0 ? header.firstLSN >= reached : header.firstLSN > reached else { return .stop(.chain) }
        return .frame(header, payload: ByteRange(start: start, count: header.payloadBytes))
    }

    /// Moves past a frame, which ended at `last`.
    mutating func advance(past header: FrameHeader, reaching last: LSN) {
        position += header.stride
        reached = last
        checksum = header.checksum
        frameCount += 1
    }

    /// Whether all bytes from `start` on are zero.
    static func isZero(_ bytes: RawSpan, from start: Int) -> Bool {
        end(ofBytes: bytes, from: start) == start
    }

    /// Where the last byte that is not zero ends, or `start`.
    static func end(ofBytes bytes: RawSpan, from start: Int) -> Int {
        var end = bytes.byteCount
        while end - start >= 8, bytes.littleEndian(at: end - 8, as: UInt64.self) == 0 { end -= 8 }
        while end > start, bytes.byte(at: end - 1) == 0 { end -= 1 }
        return max(end, start)
    }
}

/// What the frames behind a stop prove.
struct TailEvidence: Equatable {
    /// The highest watermark: everything up to it had been promised.
    var promised: LSN = .zero
    /// The highest LSN that is known to have been given.
    var given: LSN = .zero

    /// Searches `bytes` from `start` on, every eight bytes, for frames of the segment.
    ///
    /// - Complexity: O(bytes).
    init(in bytes: RawSpan, from start: Int, salt: UInt64) {
        var position = (start + FrameHeader.alignment - 1) & ~(FrameHeader.alignment - 1)
        while position + FrameHeader.byteCount <= bytes.byteCount {
            if bytes.littleEndian(at: position, as: UInt32.self) == FrameHeader.magic,
                let header = FrameHeader(parsing: bytes, at: position), header.salt == salt
            {
                promised = max(promised, header.durableLSN)
                given = max(given, header.firstLSN)
                // The server stopped in order after this frame, so all that it says had been reached was on the medium.
                if header.flags.contains(.clean) { promised = max(promised, header.firstLSN) }
            }
            position += FrameHeader.alignment
        }
    }
}
