// The types of RESP, one function each. In version 2 those that it lacks become what Redis makes of them there.
//
// Source: the RESP specification, versions 2 and 3.

import LarderBytes

extension RESPReply {
    static let lineEnd: UInt16 = 0x0A0D

    // MARK: Short replies, each written as a word

    /// Appends the lower `count` bytes of `word`.
    @inline(__always)
    static func append(_ word: UInt64, _ count: Int, into output: inout ByteBuffer) {
        output.append(littleEndian: word)
        output.truncate(to: output.count &- (8 &- count))
    }

    /// `+OK`.
    package static func ok(into output: inout ByteBuffer) { append(0x0A0D_4B4F_2B, 5, into: &output) }

    /// A null. Version 2 has one for strings and one for arrays; this is that for strings: `$-1`, or `_`.
    package static func null(_ isRESP3: Bool, into output: inout ByteBuffer) {
        if isRESP3 { append(0x0A0D_5F, 3, into: &output) } else { append(0x0A0D_312D_24, 5, into: &output) }
    }

    // MARK: Numbers and lines

    package static func integer(_ value: Int64, into output: inout ByteBuffer) {
        if value >= 0 { return header(UInt8(ascii: ":"), Int(value), into: &output) }
        output.append(byte: UInt8(ascii: ":"))
        output.append(decimal: value)
        output.append(littleEndian: lineEnd)
    }

    package static func simple(_ text: StaticString, into output: inout ByteBuffer) {
        output.append(byte: UInt8(ascii: "+"))
        output.append(text)
        output.append(littleEndian: lineEnd)
    }

    package static func simple(text: String, into output: inout ByteBuffer) {
        output.append(byte: UInt8(ascii: "+"))
        line(text, into: &output)
    }

    /// An error whose code is part of the text.
    package static func error(_ text: String, into output: inout ByteBuffer) {
        output.append(byte: UInt8(ascii: "-"))
        line(text, into: &output)
    }

    package static func boolean(_ value: Bool, _ isRESP3: Bool, into output: inout ByteBuffer) {
        if isRESP3 { output.append(value ? "#t\r\n" : "#f\r\n") } else { output.append(value ? ":1\r\n" : ":0\r\n") }
    }

    /// A double, as text in version 2. `text` spells it.
    package static func double(_ text: String, _ isRESP3: Bool, into output: inout ByteBuffer) {
        guard isRESP3 else { return bulk(text, into: &output) }
        output.append(byte: UInt8(ascii: ","))
        line(text, into: &output)
    }

    // MARK: Strings

    package static func bulk(_ bytes: RawSpan, into output: inout ByteBuffer) {
        output.reserve(bytes.byteCount &+ 24)
        header(UInt8(ascii: "$"), bytes.byteCount, into: &output)
        output.append(bytes)
        output.append(littleEndian: lineEnd)
    }

    package static func bulk(_ text: String, into output: inout ByteBuffer) {
        header(UInt8(ascii: "$"), text.utf8.count, into: &output)
        output.append(utf8: text)
        output.append(littleEndian: lineEnd)
    }

    /// Text for people, which version 3 tells from data.
    package static func verbatim(_ text: RawSpan, _ isRESP3: Bool, into output: inout ByteBuffer) {
        guard isRESP3 else { return bulk(text, into: &output) }
        header(UInt8(ascii: "="), text.byteCount &+ 4, into: &output)
        output.append("txt:")
        output.append(text)
        output.append(littleEndian: lineEnd)
    }

    // MARK: Aggregates: the head, behind which so many come

    package static func array(_ count: Int, into output: inout ByteBuffer) { header(UInt8(ascii: "*"), count, into: &output) }

    /// `count` pairs; in version 2 an array of twice as many.
    package static func map(_ count: Int, _ isRESP3: Bool, into output: inout ByteBuffer) {
        if isRESP3 { header(UInt8(ascii: "%"), count, into: &output) } else { array(count &* 2, into: &output) }
    }

    package static func set(_ count: Int, _ isRESP3: Bool, into output: inout ByteBuffer) {
        header(isRESP3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count, into: &output)
    }

    /// What the server sends without having been asked; an array in version 2.
    package static func push(_ count: Int, _ isRESP3: Bool, into output: inout ByteBuffer) {
        header(isRESP3 ? UInt8(ascii: ">") : UInt8(ascii: "*"), count, into: &output)
    }

    // MARK: Parts

    /// A byte that names the type, a number that is not negative, and the line's end. Short numbers are written at once.
    @inline(__always)
    static func header(_ type: UInt8, _ number: Int, into output: inout ByteBuffer) {
        if number < 10 {
            // Not negative: callers count.
            return output.append(littleEndian: UInt32(type) | UInt32(truncatingIfNeeded: 0x30 &+ number) << 8 | 0x0A0D_0000)
        }
        if number < 1_000 {
            let (tens, ones) = (number / 10, number % 10)
            var digits = UInt64(truncatingIfNeeded: 0x30 &+ ones)
            var count = 5
            if tens < 10 {
                digits = digits << 8 | UInt64(truncatingIfNeeded: 0x30 &+ tens)
            } else {
                digits = (digits << 8 | UInt64(truncatingIfNeeded: 0x30 &+ tens % 10)) << 8
                    | UInt64(truncatingIfNeeded: 0x30 &+ tens / 10)
                count = 6
            }
            let word = UInt64(type) | digits << 8 | UInt64(lineEnd) << UInt64(8 &* count &- 16)
            return append(word, count, into: &output)
        }
        output.append(byte: type)
        output.append(decimal: UInt64(number))
        output.append(littleEndian: lineEnd)
    }

    /// `text` as the rest of a line, and its end. Line ends within it become spaces, or it would be two replies.
    static func line(_ text: String, into output: inout ByteBuffer) {
        for byte in text.utf8 { output.append(byte: byte == 0x0D || byte == 0x0A ? 0x20 : byte) }
        output.append(littleEndian: lineEnd)
    }
}
