// What a line of memcached's protocol is made of: words with spaces between them, numbers, and an end.
//
// Looks at bytes where they lie and keeps none.

import LarderBytes

/// Scans lines.
enum MemcachedText {
    static let space = UInt8(ascii: " ")
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")

    /// Where the word that begins at `start` ends: at the first space or control character before `limit`, or there.
    @inline(__always)
    static func wordEnd(_ bytes: RawSpan, from start: Int, limit: Int) -> Int {
        var position = start
        while position &+ 8 <= limit {
            let word = bytes.littleEndian(at: position, as: UInt64.self)
            // The high bit of each byte that is less than 0x21; above the first of them it may be set for nothing.
            let ends = (word &- 0x2121_2121_2121_2121) & ~word & 0x8080_8080_8080_8080
            if ends != 0 { return position &+ ends.trailingZeroBitCount &>> 3 }
            position &+= 8
        }
        while position < limit, bytes.byte(at: position) > space { position &+= 1 }
        return position
    }

    /// The first position from `start` on that holds no space, or `limit`.
    @inline(__always)
    static func skipSpaces(_ bytes: RawSpan, from start: Int, limit: Int) -> Int {
        var position = start
        while position < limit, bytes.byte(at: position) == space { position &+= 1 }
        return position
    }

    /// The position behind the line end that begins at `position`: CR LF, or LF alone. nil when there is none, or not all of it.
    @inline(__always)
    static func lineEnd(_ bytes: RawSpan, at position: Int) -> Int? {
        guard position < bytes.byteCount else { return nil }
        if bytes.byte(at: position) == lineFeed { return position &+ 1 }
        guard bytes.byte(at: position) == carriageReturn, position &+ 1 < bytes.byteCount,
            bytes.byte(at: position &+ 1) == lineFeed
        else { return nil }
        return position &+ 2
    }

    /// The number whose digits begin at `position`, which is left behind them. nil for no digit, or more than 18.
    @inline(__always)
    static func number(_ bytes: RawSpan, at position: inout Int) -> Int64? {
        let start = position
        var value: Int64 = 0
        while position < bytes.byteCount {
            let digit = bytes.byte(at: position) &- UInt8(ascii: "0")
            if digit > 9 { break }
            // May run over; then there are too many digits.
            value = value &* 10 &+ Int64(digit)
            position &+= 1
        }
        return position > start && position &- start <= 18 ? value : nil
    }

    /// The number of up to six digits that stands at `cursor` behind one space; `cursor` is left behind it. nil for whatever is not
    /// most common.
    @inline(__always)
    static func commonNumber(_ bytes: RawSpan, at cursor: inout Int) -> Int? {
        guard cursor &+ 8 <= bytes.byteCount else { return nil }
        var word = bytes.littleEndian(at: cursor, as: UInt64.self)
        guard UInt8(truncatingIfNeeded: word) == space else { return nil }
        var value = 0
        var count = 0
        while true {
            word &>>= 8
            // What is moved in from above is no digit, and so ends the seventh.
            let digit = UInt8(truncatingIfNeeded: word) &- UInt8(ascii: "0")
            if digit > 9 { break }
            value = value &* 10 &+ Int(digit)
            count &+= 1
        }
        guard count > 0, count < 7 else { return nil }
        cursor &+= 1 &+ count
        return value
    }

    /// Whether a line is the first of an HTTP request, or one of its fields, or of a command of RESP: a browser or another server
    /// was made to send it, and what follows must not be taken for commands.
    static func isOfAnotherProtocol(_ bytes: RawSpan, _ line: ByteRange) -> Bool {
        var words = MemcachedWords(line)
        guard let first = words.next(in: bytes) else { return false }
        if bytes.byte(at: first.start) == UInt8(ascii: "*") || bytes.slice(first).equalsIgnoringCase("host:") { return true }
        var last = first
        while let next = words.next(in: bytes) { last = next }
        return last.count >= 5 && bytes.slice(last.start, 5).equals("HTTP/")
    }

    /// What a client means by an expiry time in seconds: 0 is never, what is not more than thirty days counts from now, more is
    /// Unix time, and less than nothing has passed.
    static func lifetime(seconds: Int64) -> Lifetime {
        if seconds == 0 { return .unlimited }
        if seconds < 0 { return .milliseconds(0) }
        if seconds <= relativeSecondsMax { return .milliseconds(seconds &* 1_000) }
        let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return .until(overflow ? .max : milliseconds)
    }

    /// Thirty days.
    static let relativeSecondsMax: Int64 = 2_592_000
}

/// The words of a line, one after another. A copy walks them again.
package struct MemcachedWords: Sendable {
    private var position: Int
    private let end: Int

    /// - Parameter line: Without its end.
    package init(_ line: ByteRange) {
        position = line.start
        end = line.end
    }

    /// The next word; nil behind the last, and before a control character, which belongs to no word.
    package mutating func next(in bytes: RawSpan) -> ByteRange? {
        let start = MemcachedText.skipSpaces(bytes, from: position, limit: end)
        position = MemcachedText.wordEnd(bytes, from: start, limit: end)
        return position > start ? ByteRange(start: start, count: position &- start) : nil
    }

    /// Whether all of the line has been walked.
    package mutating func isAtEnd(in bytes: RawSpan) -> Bool {
        position = MemcachedText.skipSpaces(bytes, from: position, limit: end)
        return position == end
    }

    /// Where the next word may begin.
    package var rest: ByteRange { ByteRange(start: position, count: end &- position) }
}
