// The name of a command as one number, so that it is recognised without reading it twice, and in either case.

import LarderBytes

/// Up to fifteen bytes, letters in upper case, and how many they are. Longer names are no command's, and are like the empty one.
package struct RESPName: Hashable, Sendable {
    package let low: UInt64
    package let high: UInt64

    /// Clears the bit that tells lower from upper case. No other byte becomes a letter by that.
    private static let upperCase: UInt64 = 0xDFDF_DFDF_DFDF_DFDF

    /// How many bytes the name has.
    var count: UInt64 { high >> 56 }

    private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    @inline(__always)
    package init(_ bytes: RawSpan, _ range: ByteRange) {
        guard range.count <= 8, range.count > 0, range.start &+ 8 <= bytes.byteCount else {
            self = Self.gather(bytes, range)
            return
        }
        let word = bytes.littleEndian(at: range.start, as: UInt64.self) & Self.upperCase
        let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* range.count)
        self.init(low: (word &<< unused) &>> unused, high: UInt64(truncatingIfNeeded: range.count) << 56)
    }

    @inline(never)
    private static func gather(_ bytes: RawSpan, _ range: ByteRange) -> RESPName {
        var (low, high): (UInt64, UInt64) = (0, 0)
        guard range.count < 16 else { return RESPName(low: 0, high: 0) }
        for index in 0..<range.count {
            let byte = UInt64(bytes.byte(at: range.start &+ index) & 0xDF) << UInt64(8 * (index & 7))
            if index < 8 { low |= byte } else { high |= byte }
        }
        return RESPName(low: low, high: high | UInt64(range.count) << 56)
    }

    package init(_ text: String) {
        let bytes = Array(text.utf8)
        self.init(bytes.rawSpan, ByteRange(start: 0, count: bytes.count))
    }
}

extension RESPWord {
    private static let words: [RESPName: RESPWord] = Dictionary(
        uniqueKeysWithValues: allCases.filter { $0 != .unknown }.map { (RESPName($0.name), $0) })

    /// The command with this name, if there is one.
    package static func named(_ name: RESPName) -> RESPWord { words[name] ?? .unknown }
}
