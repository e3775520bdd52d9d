// Words of JSON bodies: strings, UUIDs and times, appended without a `String` in between.
//
// Sources: RFC 8259 section 7, RFC 3629 (which bytes are UTF-8), RFC 3339; days to dates after H. Hinnant,
// "chrono-Compatible Low-Level Date Algorithms".

import LarderBytes

extension ByteBuffer {
    /// Appends `bytes` as the inside of a JSON string.
    ///
    /// - Returns: Whether they were UTF-8. If not, U+FFFD stands for each byte that was not, and the caller has to
    ///   give the exact bytes in another way.
    @discardableResult
    mutating func append(json bytes: RawSpan) -> Bool {
        var isExact = true
        var position = 0
        while position < bytes.byteCount {
            let byte = bytes.byte(at: position)
            if byte < 0x80 {
                append(jsonASCII: byte)
                position += 1
                continue
            }
            let length = UTF8Text.sequenceLength(bytes, at: position)
            if length > 0 {
                append(bytes.slice(position, length))
                position += length
            } else {
                append("\\ufffd")
                isExact = false
                position += 1
            }
        }
        return isExact
    }

    /// Appends a constant, which is ASCII, as the inside of a JSON string.
    mutating func append(jsonText text: StaticString) {
        let start = count
        append(text)
        // Constants hold nothing to escape; one that did would be a defect of ours and must not reach a client.
        for position in start..<count where self[position] < 0x20 || self[position] == UInt8(ascii: "\"")
            || self[position] == UInt8(ascii: "\\") || self[position] >= 0x7F
        {
            self[position] = UInt8(ascii: "?")
        }
    }

    mutating func append(json text: String) {
        var copy = ByteBuffer()
        copy.append(utf8: text)
        append(json: copy.bytes)
    }

    private mutating func append(jsonASCII byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0..<0x20, 0x7F:
            append("\\u00")
            append(hexadecimal: byte)
        default: append(byte: byte)
        }
    }

    private mutating func append(hexadecimal byte: UInt8) {
        append(hexadecimalDigit: byte >> 4)
        append(hexadecimalDigit: byte & 15)
    }

    private mutating func append(hexadecimalDigit digit: UInt8) {
        append(byte: digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a"))
    }

    /// Appends 8-4-4-4-12 lower-case hexadecimal digits.
    mutating func append(uuid: (high: UInt64, low: UInt64)) {
        for index in 0..<16 {
            if index == 4 || index == 6 || index == 8 || index == 10 { append(byte: UInt8(ascii: "-")) }
            let word = index < 8 ? uuid.high : uuid.low
            append(hexadecimal: UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (index & 7))))
        }
    }
}

private enum UTF8Text {
    /// How many bytes the well-formed sequence at `position` has that begins with no ASCII byte; 0 when there is none.
    static func sequenceLength(_ bytes: RawSpan, at position: Int) -> Int {
        let first = bytes.byte(at: position)
        let length: Int
        // The second byte's bounds exclude overlong forms, surrogates and what lies beyond U+10FFFF.
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0:
            length = 3
            lowest = 0xA0
        case 0xED:
            length = 3
            highest = 0x9F
        case 0xE1...0xEF: length = 3
        case 0xF0:
            length = 4
            lowest = 0x90
        case 0xF4:
            length = 4
            highest = 0x8F
        case 0xF1...0xF3: length = 4
        default: return 0
        }
        guard position + length <= bytes.byteCount else { return 0 }
        let second = bytes.byte(at: position + 1)
        guard second >= lowest, second <= highest else { return 0 }
        for offset in 2..<max(length, 2) where bytes.byte(at: position + offset) & 0xC0 != 0x80 { return 0 }
        return length
    }
}
