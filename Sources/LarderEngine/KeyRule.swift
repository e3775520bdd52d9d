// Which bytes may be a key.
//
// The rule belongs to a namespace and is the same in every dialect. Knows nothing of what is stored.

import CLarderIntrinsics
import LarderBytes

/// Why some bytes are not a key.
@frozen @usableFromInline
package enum KeyFault: UInt8, Error, Equatable, Sendable {
    /// No bytes at all.
    case empty
    /// More bytes than `KeyRule.bytesMax`.
    case tooLong
    /// A byte that the rule does not allow, or one of the names `.` and `..`.
    case illegal
    /// A key that begins with `_`: kept for the server's own use.
    case reserved
}

/// Which keys a namespace accepts. The raw values stand in log records.
@frozen @usableFromInline
package enum KeyRule: UInt8, Sendable, CaseIterable {
    /// 1 to 256 bytes of `a-z A-Z 0-9 - _ / = .`, not beginning with `_`, and neither `.` nor `..`.
    case path = 0
    /// Any 1 to 1,024 bytes.
    case bytes = 1

    /// The longest key, in bytes.
    @inlinable package var bytesMax: Int {
        switch self {
        case .path: 256
        case .bytes: 1_024
        }
    }

    /// Why `key` is refused, or nil when it is a key. O(key).
    package func checkKey(_ key: RawSpan) -> KeyFault? {
        if key.byteCount == 0 { return .empty }
        if key.byteCount > bytesMax { return .tooLong }
        if self == .bytes { return nil }
        if key.byte(at: 0) == UInt8(ascii: "_") { return .reserved }
        if !Self.hasOnlyPathBytes(key) || Self.isDots(key) { return .illegal }
        return nil
    }

    /// Sixteen or eight bytes at a time, of which the last overlap those before them; a short key goes byte by byte.
    @inline(__always) private static func hasOnlyPathBytes(_ key: RawSpan) -> Bool {
        let count = key.byteCount
        if count >= 16 { return unsafe key.withUnsafeBytes { bytes in unsafe hasOnlyPathBytes(bytes.baseAddress!, count) } }
        if count >= 8 {
            return arePathBytes(key.littleEndian(at: 0, as: UInt64.self))
                && arePathBytes(key.littleEndian(at: count &- 8, as: UInt64.self))
        }
        for position in 0..<count where !isPathByte(key.byte(at: position)) { return false }
        return true
    }

    @inline(__always) private static func hasOnlyPathBytes(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        var position = 0
        while position <= count &- 16 {
            if unsafe larder_are_path_bytes16(bytes + position) == 0 { return false }
            position &+= 16
        }
        return unsafe position == count || larder_are_path_bytes16(bytes + (count &- 16)) != 0
    }

    private static func isDots(_ key: RawSpan) -> Bool { key.byteCount <= 2 && (key.equals(".") || key.equals("..")) }

    /// One bit for each of the 128 ASCII characters.
    private static func isPathByte(_ byte: UInt8) -> Bool {
        // `-` to `9` are neighbours in ASCII and all allowed: `- . / 0 … 9`.
        let low: UInt64 = (0x1FFF << 45) | (1 << 61)  // and `=`
        let high: UInt64 = 0x07FF_FFFE | (0x07FF_FFFE << 32) | (1 << 31)  // `A`…`Z`, `a`…`z`, `_`
        let word = byte < 64 ? low : high
        return byte < 128 && (word >> UInt64(byte & 63)) & 1 == 1
    }

    /// The same for the eight bytes of a word.
    private static func arePathBytes(_ word: UInt64) -> Bool {
        let letters = range(word | lowercaseBits, 0x61, 0x7A)  // `a` to `z`
        let allowed = letters | range(word, 0x2D, 0x39) | range(word, 0x3D, 0x3D) | range(word, 0x5F, 0x5F)
        return word & highBits == 0 && allowed & highBits == highBits
    }

    private static let highBits: UInt64 = 0x8080_8080_8080_8080
    private static let lowercaseBits: UInt64 = 0x2020_2020_2020_2020
    private static let ones: UInt64 = 0x0101_0101_0101_0101

    /// Sets the high bit of every byte that is at least `low` and at most `high`, if no byte has its own high bit set: then
    /// none of the sums carries into the next byte.
    @inline(__always) private static func range(_ word: UInt64, _ low: UInt64, _ high: UInt64) -> UInt64 {
        (word &+ ones &* (0x80 &- low)) & ~(word &+ ones &* (0x7F &- high))
    }
}
