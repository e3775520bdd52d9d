// The arguments of a RESP command, one after another, where they lie in the receive buffer.

import LarderBytes

/// Walks the arguments behind a command's name. A copy of it walks them again.
package struct RESPArguments: Sendable {
    /// How many are left.
    package private(set) var count = 0
    private var position: Int
    private let end: Int
    private let isInline: Bool

    /// - Parameter request: `Command.value` of a command that was decoded from `input`: all of the request.
    package init(_ request: ByteRange, in input: borrowing ByteBuffer) { self.init(request, in: input.bytes) }

    /// The same, and the name of the command before them.
    package init(wordsOf request: ByteRange, in input: borrowing ByteBuffer) { self.init(wordsOf: request, in: input.bytes) }

    init(_ request: ByteRange, in bytes: RawSpan) {
        self.init(wordsOf: request, in: bytes)
        _ = next(in: bytes)
    }

    private init(wordsOf request: ByteRange, in bytes: RawSpan) {
        precondition(
            request.start >= 0 && request.count >= 0 && request.count <= bytes.byteCount &- request.start,
            "range leaves the buffer")
        position = request.start
        end = request.end
        isInline = request.isEmpty || bytes.byte(at: request.start) != UInt8(ascii: "*")
        if isInline {
            var at = position
            while RESPInline.nextWord(bytes, &at, end: end) != nil { count &+= 1 }
        } else {
            position &+= 1
            count = max(RESPNumber.read(bytes, at: &position, end: end), 0)
        }
    }

    /// Where the next argument lies, or nil behind the last. O(1).
    package mutating func next(in input: borrowing ByteBuffer) -> ByteRange? { next(in: input.bytes) }

    mutating func next(in bytes: RawSpan) -> ByteRange? {
        precondition(end <= bytes.byteCount, "the buffer has been consumed since")
        guard count > 0 else { return nil }
        count &-= 1
        if isInline { return RESPInline.nextWord(bytes, &position, end: end) }
        position &+= 1
        let length = RESPNumber.read(bytes, at: &position, end: end)
        guard length >= 0, length &+ 2 <= end &- position else { return nil }
        defer { position &+= length &+ 2 }
        return ByteRange(start: position, count: length)
    }

    /// All that are left, in an array: for commands that do not come a million times a second.
    package func all(in input: borrowing ByteBuffer) -> [ByteRange] {
        var (rest, ranges) = (self, [ByteRange]())
        while let range = rest.next(in: input) { ranges.append(range) }
        return ranges
    }
}

/// The numbers that announce how many arguments there are, and how long one is.
enum RESPNumber {
    static let needsMore = -1
    static let isMalformed = -2

    /// Reads digits and the line's end, and moves `position` behind them. A sign or a leading zero is malformed.
    ///
    /// - Returns: The number, at most 2^31 - 1; or one of the above, and then `position` is where it was.
    @inline(__always)
    static func read(_ bytes: RawSpan, at position: inout Int, end: Int) -> Int {
        if end &- position >= 4 {
            let word = bytes.littleEndian(at: position, as: UInt32.self)
            let first = (word & 0xFF) &- 0x30
            if (word >> 8) & 0xFFFF == 0x0A0D, first <= 9 {
                position &+= 3
                return Int(first)
            }
            let second = ((word >> 8) & 0xFF) &- 0x30
            // "07" is no number; the long way says so.
            if word >> 16 == 0x0A0D, first &- 1 <= 8, second <= 9 {
                position &+= 4
                return Int(first &* 10 &+ second)
            }
            let third = ((word >> 16) & 0xFF) &- 0x30
            if end &- position >= 5, word >> 24 == 0x0D, bytes.byte(at: position &+ 4) == 0x0A, first &- 1 <= 8, second <= 9, third <= 9 {
                position &+= 5
                return Int(first &* 100 &+ second &* 10 &+ third)
            }
        }
        return readLong(bytes, at: &position, end: end)
    }

    @inline(never)
    private static func readLong(_ bytes: RawSpan, at position: inout Int, end: Int) -> Int {
        var at = position
        var value = 0
        while at < end, at &- position < 10, bytes.byte(at: at) &- 0x30 <= 9 {
            // At most ten digits.
            value = value &* 10 &+ Int(bytes.byte(at: at) &- 0x30)
            at &+= 1
        }
        let digits = at &- position
        let hasLeadingZero = digits > 1 && bytes.byte(at: position) == 0x30
        guard at < end else { return hasLeadingZero || value > Int(Int32.max) ? isMalformed : needsMore }
        guard digits > 0, !hasLeadingZero, value <= Int(Int32.max), bytes.byte(at: at) == 0x0D else { return isMalformed }
        guard at &+ 1 < end else { return needsMore }
        guard bytes.byte(at: at &+ 1) == 0x0A else { return isMalformed }
        position = at &+ 2
        return value
    }
}
