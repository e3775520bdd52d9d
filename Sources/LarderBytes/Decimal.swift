// Decimal integers as text, both ways, without a `String`.

@usableFromInline
package enum Decimal {
    /// The integer that `text` spells: an optional minus sign and digits, nothing else.
    ///
    /// - Returns: nil for anything else, an empty text and a number beyond 64 bits included.
    @inlinable package static func parse(_ text: RawSpan) -> Int64? {
        guard text.byteCount > 0 else { return nil }
        let negative = text.byte(at: 0) == UInt8(ascii: "-")
        var position = negative ? 1 : 0
        guard position < text.byteCount else { return nil }
        var value: Int64 = 0
        while position < text.byteCount {
            let digit = text.byte(at: position) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (scaled, tooLarge) = value.multipliedReportingOverflow(by: 10)
            // Built downwards, because the negative numbers reach one further.
            let (next, overflow) = scaled.subtractingReportingOverflow(Int64(digit))
            guard !tooLarge, !overflow else { return nil }
            value = next
            position &+= 1
        }
        if negative { return value }
        let (positive, overflow) = Int64(0).subtractingReportingOverflow(value)
        return overflow ? nil : positive
    }

    /// The integer that `text` spells: digits, nothing else.
    ///
    /// - Returns: nil for anything else, an empty text and a number beyond 64 bits included.
    @inlinable package static func parseUnsigned(_ text: RawSpan) -> UInt64? {
        guard text.byteCount > 0 else { return nil }
        var value: UInt64 = 0
        for position in 0..<text.byteCount {
            let digit = text.byte(at: position) &- UInt8(ascii: "0")
            let (scaled, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (next, overflow) = scaled.addingReportingOverflow(UInt64(digit))
            guard digit <= 9, !tooLarge, !overflow else { return nil }
            value = next
        }
        return value
    }
}

extension ByteBuffer {
    /// Appends `value` in decimal.
    @inlinable package mutating func append(decimal value: Int64) {
        if value < 0 { append(byte: UInt8(ascii: "-")) }
        append(decimal: value.magnitude)
    }

    @inlinable package mutating func append(decimal value: UInt64) {
        if value < 100_000_000 { return appendShort(decimal: value) }
        appendLong(decimal: value)
    }

    /// Up to eight digits, made from the last: each moves those behind it up by a byte.
    @usableFromInline mutating func appendShort(decimal value: UInt64) {
        var word = value % 10 | 0x30
        var rest = value / 10
        var count = 1
        while rest > 0 {
            word = word << 8 | rest % 10 | 0x30
            rest /= 10
            count &+= 1
        }
        append(word: word, count: count)
    }

    @usableFromInline mutating func appendLong(decimal value: UInt64) {
        unsafe append(minimum: 20) { free in
            var digits = 1
            var rest = value
            while rest >= 10 {
                rest /= 10
                digits &+= 1
            }
            rest = value
            var position = digits
            while position > 0 {
                position &-= 1
                unsafe free[position] = UInt8(truncatingIfNeeded: rest % 10) &+ UInt8(ascii: "0")
                rest /= 10
            }
            return digits
        }
    }
}
