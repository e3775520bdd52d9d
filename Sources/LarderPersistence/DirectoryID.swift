// Which data directory a file belongs to: a random number that stands in every file, so that a stray one is recognised.

import LarderBytes

/// 128 random bits, written as a UUID.
package struct DirectoryID: Equatable, Sendable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new one, marked as a random UUID (version 4).
    package init(random: () -> UInt64) {
        high = random() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        low = random() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    }

    /// The number that `text` spells in 32 hexadecimal digits with hyphens after 8, 12, 16 and 20 of them.
    package init?(_ text: some StringProtocol) {
        let digits = String(text).filter { $0 != "-" }
        guard digits.utf8.count == 32, let high = UInt64(digits.prefix(16), radix: 16),
            let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
        guard description == text else { return nil }
    }

    package var description: String {
        let digits = hexadecimal(high) + hexadecimal(low)
        var text = ""
        for (position, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(position) { text += "-" }
            text.append(digit)
        }
        return text
    }

    /// Sixteen bytes in the order in which the text has them.
    func append(to buffer: inout ByteBuffer) {
        buffer.append(littleEndian: high.byteSwapped)
        buffer.append(littleEndian: low.byteSwapped)
    }

    init(_ bytes: RawSpan, at position: Int) {
        high = bytes.littleEndian(at: position, as: UInt64.self).byteSwapped
        low = bytes.littleEndian(at: position + 8, as: UInt64.self).byteSwapped
    }
}

/// All digits of `value`, leading zeros included.
func hexadecimal<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: Value.bitWidth / 4 - digits.count) + digits
}
