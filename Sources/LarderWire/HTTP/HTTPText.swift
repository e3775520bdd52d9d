// Which bytes HTTP allows where, and its text forms that are undone in place: percent-encoding and base64url.
//
// Source: RFC 9110 section 5.6 (tokens, whitespace), RFC 3986 section 2.1, RFC 4648 section 5.

import LarderBytes

/// Questions about single bytes.
enum HTTPText {
    static let tab = UInt8(ascii: "\t")
    static let space = UInt8(ascii: " ")
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")

    /// Whether `byte` may stand in a token: a method, the name of a field.
    @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        // Bits of ! # $ % & ' * + - . 0-9, and of A-Z ^ _ ` a-z | ~.
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        return byte < 128 && ((byte < 64 ? low : high) >> UInt64(byte & 63)) & 1 == 1
    }

    /// Whether `byte` may stand in a Host field: registered names, addresses in brackets, a port.
    static func isHost(_ byte: UInt8) -> Bool {
        // Bits of ! $ % & ' ( ) * + , - . 0-9 : ; =, and of A-Z [ ] _ a-z ~.
        let low: UInt64 = 0x2FFF_7FF2_0000_0000
        let high: UInt64 = 0x47FF_FFFE_AFFF_FFFE
        return byte < 128 && ((byte < 64 ? low : high) >> UInt64(byte & 63)) & 1 == 1
    }

    /// The value of a hexadecimal digit.
    @inline(__always) static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
        default: nil
        }
    }

    @inline(__always) static func isWhitespace(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// Whether any of the eight bytes in `word` is a control character (below 0x20, or 0x7F).
    /// It may say yes for a word without one, never no for a word with one.
    @inline(__always) static func mayHoldControl(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops = ones &* 0x80
        // A byte below 0x20 borrows out of its top bit; one that had it set already does not count.
        let below = (word &- ones &* 0x20) & ~word & tops
        // The same for a byte of word ^ 0x7F that is zero.
        let flipped = word ^ (ones &* 0x7F)
        let delete = (flipped &- ones) & ~flipped & tops
        return (below | delete) != 0
    }

    /// Whether `span` holds a control character other than a tab. O(count).
    static func holdsControl(_ span: RawSpan) -> Bool {
        var position = 0
        while position < span.byteCount {
            if position &+ 8 <= span.byteCount,
                !mayHoldControl(span.littleEndian(at: position, as: UInt64.self))
            {
                position &+= 8
                continue
            }
            let byte = span.byte(at: position)
            if (byte < 0x20 && byte != tab) || byte == 0x7F { return true }
            position &+= 1
        }
        return false
    }
}

extension RawSpan {
    /// Whether the bytes are those of `text`, letters of either case alike. `text` is in lower case, and neither may
    /// hold a byte that is no letter and that 0x20 makes one of the other's (true of all tokens).
    @inline(__always) func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard byteCount == text.utf8CodeUnitCount else { return false }
        for position in 0..<byteCount where unsafe byte(at: position) | 0x20 != text.utf8Start[position] { return false }
        return true
    }

    /// The range without spaces and tabs at its ends.
    func trimmed(_ range: ByteRange) -> ByteRange {
        var start = range.start
        var end = range.end
        while start < end, HTTPText.isWhitespace(byte(at: start)) { start &+= 1 }
        while end > start, HTTPText.isWhitespace(byte(at: end &- 1)) { end &-= 1 }
        return ByteRange(start: start, count: end &- start)
    }

    /// The part of `range` before the first `separator`, and what follows it (nil: no separator).
    func split(_ range: ByteRange, at separator: UInt8) -> (head: ByteRange, tail: ByteRange?) {
        var position = range.start
        while position < range.end {
            if byte(at: position) == separator {
                let head = ByteRange(start: range.start, count: position &- range.start)
                return (head, ByteRange(start: position &+ 1, count: range.end &- position &- 1))
            }
            position &+= 1
        }
        return (range, nil)
    }
}

extension ByteBuffer {
    /// Undoes percent-encoding once, where the bytes lie. What follows the shortened range is left over.
    ///
    /// - Parameter plusIsSpace: Whether `+` stands for a space, as it does in a query.
    /// - Returns: nil when a `%` is not followed by two hexadecimal digits; the bytes may have changed then.
    mutating func percentDecode(_ range: ByteRange, plusIsSpace: Bool = false) -> ByteRange? {
        var source = range.start
        while source < range.end {
            let byte = self[source]
            if byte == UInt8(ascii: "%") || (plusIsSpace && byte == UInt8(ascii: "+")) { break }
            source &+= 1
        }
        var target = source
        while source < range.end {
            var byte = self[source]
            if byte == UInt8(ascii: "%") {
                guard range.end &- source > 2, let high = HTTPText.hexadecimal(self[source &+ 1]),
                    let low = HTTPText.hexadecimal(self[source &+ 2])
                else { return nil }
                byte = high << 4 | low
                source &+= 2
            } else if plusIsSpace && byte == UInt8(ascii: "+") {
                byte = HTTPText.space
            }
            self[target] = byte
            target &+= 1
            source &+= 1
        }
        return ByteRange(start: range.start, count: target &- range.start)
    }

    /// Undoes base64url where the bytes lie; padding may be there or not.
    ///
    /// - Returns: nil for anything that the encoder below does not write; the bytes may have changed then.
    mutating func base64URLDecode(_ range: ByteRange) -> ByteRange? { base64Decode(range, last: Base64.urlSafe) }

    /// The same for standard base64, whose padding has to be there.
    mutating func base64Decode(_ range: ByteRange) -> ByteRange? {
        range.count % 4 == 0 ? base64Decode(range, last: Base64.standard) : nil
    }

    private mutating func base64Decode(_ range: ByteRange, last: (UInt8, UInt8)) -> ByteRange? {
        var end = range.end
        while end > range.start, range.end &- end < 2, self[end &- 1] == UInt8(ascii: "=") { end &-= 1 }
        let digits = end &- range.start
        guard digits % 4 != 1, end == range.end || range.count % 4 == 0 else { return nil }
        var target = range.start
        var held: UInt32 = 0
        var heldBits = 0
        for source in range.start..<end {
            guard let digit = Base64.value(self[source], last: last) else { return nil }
            held = held << 6 | UInt32(digit)
            heldBits &+= 6
            if heldBits >= 8 {
                heldBits &-= 8
                self[target] = UInt8(truncatingIfNeeded: held >> UInt32(heldBits))
                target &+= 1
            }
            held &= (1 << UInt32(heldBits)) &- 1
        }
        // Bits that belong to no byte must be zero, or one text could be spelled in several ways.
        guard held == 0 else { return nil }
        return ByteRange(start: range.start, count: target &- range.start)
    }

    /// Appends base64url without padding.
    mutating func append(base64URL bytes: RawSpan) {
        appendBase64(bytes, last: Base64.urlSafe, padded: false)
    }

    /// Appends standard base64 with padding (RFC 4648 section 4).
    package mutating func append(base64 bytes: RawSpan) {
        appendBase64(bytes, last: Base64.standard, padded: true)
    }

    private mutating func appendBase64(_ bytes: RawSpan, last: (UInt8, UInt8), padded: Bool) {
        var position = 0
        while position < bytes.byteCount {
            let taken = min(3, bytes.byteCount &- position)
            var word: UInt32 = 0
            for offset in 0..<3 {
                word = word << 8 | (offset < taken ? UInt32(bytes.byte(at: position &+ offset)) : 0)
            }
            for digit in 0..<4 {
                if digit <= taken {
                    let value = UInt8(truncatingIfNeeded: word >> UInt32(18 &- 6 &* digit)) & 63
                    append(byte: Base64.digit(value, last: last))
                } else if padded {
                    append(byte: UInt8(ascii: "="))
                }
            }
            position &+= taken
        }
    }
}

private enum Base64 {
    /// The last two digits.
    static let urlSafe = (UInt8(ascii: "-"), UInt8(ascii: "_"))
    static let standard = (UInt8(ascii: "+"), UInt8(ascii: "/"))

    static func value(_ byte: UInt8, last: (UInt8, UInt8)) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte &- UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte &- UInt8(ascii: "a") &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0") &+ 52
        case last.0: 62
        case last.1: 63
        default: nil
        }
    }

    static func digit(_ value: UInt8, last: (UInt8, UInt8)) -> UInt8 {
        switch value {
        case 0..<26: value &+ UInt8(ascii: "A")
        case 26..<52: value &- 26 &+ UInt8(ascii: "a")
        case 52..<62: value &- 52 &+ UInt8(ascii: "0")
        case 62: last.0
        default: last.1
        }
    }
}
