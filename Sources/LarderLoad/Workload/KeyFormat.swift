// What keys look like: a prefix, and the index in decimal, padded to a length.

import LarderBytes

/// The form of keys. Every dialect but HTTP carries all of them.
package struct KeyFormat: Equatable, Sendable {
    package let prefix: [UInt8]
    /// Bytes of a key, the prefix included.
    package let length: Int
    /// The key of index 0.
    private let first: [UInt8]

    package static let lengthMax = 250

    /// - Parameter count: How many keys there are; the digits of the last have to fit.
    /// - Returns: nil when they do not, when a key has more than 250 bytes (memcached's limit), or when the prefix has
    ///   bytes that are no printable ASCII, or a space. Whether the server takes such keys is for it to say.
    package init?(prefix: String, length: Int, count: UInt64) {
        let digits = String(max(count, 1) - 1).utf8.count
        let bytes = Array(prefix.utf8)
        guard length <= Self.lengthMax, bytes.count + digits <= length, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        self.prefix = bytes
        self.length = length
        first = bytes + [UInt8](repeating: UInt8(ascii: "0"), count: length - bytes.count)
    }

    /// Whether every server takes keys with such a byte: `a-z A-Z 0-9 - _ / = .`.
    static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "="):
            true
        default: false
        }
    }

    /// Appends the key of `index`.
    package func append(_ index: UInt64, to output: inout ByteBuffer) {
        let start = output.count
        output.append(first.rawSpan)
        var position = start + length
        var rest = index
        while rest > 0, position > start + prefix.count {
            position -= 1
            output[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// The key of `index`, for messages.
    package func text(_ index: UInt64) -> String {
        var output = ByteBuffer()
        append(index, to: &output)
        return String(utf8: output.bytes)
    }
}
