// A body that comes in chunks: checks their framing and joins them in the receive buffer, so that the value is one range.
//
// Keeps no more than the joined bytes and one unfinished line: what frames a chunk is squeezed out as it is read.
// Offsets count from the first byte of the request. Source: RFC 9112 section 7.1.

import LarderBytes

struct HTTPChunks {
    enum Result: Equatable {
        case needMore
        /// The body is joined; the request ends so many bytes after it began.
        case complete(requestBytes: Int)
        case tooLarge
        case refused(Failure)
    }

    private enum Stage: UInt8 { case size, data, dataEnd, trailer, tooLarge }

    private let bodyStart: Int
    private let bytesMax: Int
    /// Where the joined body ends.
    private(set) var joinedEnd: Int
    /// The next byte to look at; never before `joinedEnd`.
    private var unread: Int
    private var stage = Stage.size
    private var chunkLeft = 0
    private var extensionBytes = 0
    private var trailerBytes = 0

    init(bodyStart: Int, bytesMax: Int) {
        self.bodyStart = bodyStart
        self.bytesMax = bytesMax
        joinedEnd = bodyStart
        unread = bodyStart
    }

    var joinedCount: Int { joinedEnd - bodyStart }

    /// Reads as far as the buffer goes. `start` is where the request begins in it.
    ///
    /// When more is needed, everything after the joined body that has been understood is gone from `input`.
    mutating func resume(_ input: inout ByteBuffer, at start: Int, limits: HTTPLimits) -> Result {
        do throws(Failure) {
            while true {
                switch stage {
                case .size:
                    guard let line = try line(input, start, bytesMax: limits.chunkLineBytesMax) else { return squeeze(&input, start) }
                    try takeSize(input.span(line), limits)
                    stage = chunkLeft > bytesMax - joinedCount ? .tooLarge : chunkLeft == 0 ? .trailer : .data
                case .tooLarge:
                    return .tooLarge
                case .data:
                    takeData(&input, start)
                    guard chunkLeft == 0 else { return squeeze(&input, start) }
                    stage = .dataEnd
                case .dataEnd:
                    guard let line = try line(input, start, bytesMax: 0) else { return squeeze(&input, start) }
                    precondition(line.isEmpty)
                    stage = .size
                case .trailer:
                    let left = limits.trailerBytesMax - trailerBytes
                    guard let line = try line(input, start, bytesMax: left) else { return squeeze(&input, start) }
                    if line.isEmpty { return .complete(requestBytes: unread) }
                    _ = try HTTPHead.separateField(input.bytes, line)
                    // Cannot pass the bound: the line was no longer than what was left of it.
                    trailerBytes += line.count
                }
            }
        } catch {
            return .refused(error)
        }
    }

    /// The line at `unread`, without its end; nil while it is incomplete.
    private mutating func line(
        _ input: borrowing ByteBuffer, _ start: Int, bytesMax: Int
    ) throws(Failure) -> ByteRange? {
        let bytes = input.bytes
        let first = start + unread
        var position = first
        while position < bytes.byteCount {
            let byte = bytes.byte(at: position)
            if byte == HTTPText.carriageReturn {
                guard position + 1 < bytes.byteCount else { return nil }
                guard bytes.byte(at: position + 1) == HTTPText.lineFeed else { break }
                unread = position + 2 - start
                return ByteRange(start: first, count: position - first)
            }
            guard position - first < bytesMax, (byte >= 0x20 || byte == HTTPText.tab), byte != 0x7F else { break }
            position += 1
        }
        guard position == bytes.byteCount else {
            throw Failure(.malformed, "The chunks of the body are not framed as they should be.")
        }
        return nil
    }

    /// Hexadecimal digits, and extensions that are passed over.
    private mutating func takeSize(_ line: RawSpan, _ limits: HTTPLimits) throws(Failure) {
        var size = 0
        var position = 0
        while position < line.byteCount, let digit = HTTPText.hexadecimal(line.byte(at: position)) {
            // Sticky, so that no further digit brings an overflowing size back below the bound.
            size = size > bytesMax ? size : size << 4 | Int(digit)
            position += 1
        }
        let rest = line.byteCount - position
        guard position > 0, rest == 0 || line.byte(at: position) == UInt8(ascii: ";") else {
            throw Failure(.malformed, "The size of a chunk is not a hexadecimal number.")
        }
        extensionBytes += rest
        guard extensionBytes <= limits.chunkExtensionBytesMax else {
            throw Failure(.headerTooLarge, "There are too many chunk extensions.")
        }
        chunkLeft = size
    }

    private mutating func takeData(_ input: inout ByteBuffer, _ start: Int) {
        let count = min(chunkLeft, input.count - start - unread)
        if joinedEnd != unread { input.move(from: start + unread, to: start + joinedEnd, count: count) }
        joinedEnd += count
        unread += count
        chunkLeft -= count
    }

    /// Lets what is unread follow the joined body at once. Everything there belongs to this request: it is incomplete.
    private mutating func squeeze(_ input: inout ByteBuffer, _ start: Int) -> Result {
        let rest = input.count - start - unread
        if joinedEnd != unread {
            input.move(from: start + unread, to: start + joinedEnd, count: rest)
            input.truncate(to: start + joinedEnd + rest)
            unread = joinedEnd
        }
        return .needMore
    }
}
