// What is stored under which keys.

import LarderBytes
import LarderLoad

/// How long an entry is to live.
enum EntryLifetime: Sendable {
    case unlimited
    case seconds(Int)
    /// Unix milliseconds.
    case until(Int64)

    /// Milliseconds from now, as a request has it. memcached takes a number beyond 30 days for a time.
    func milliseconds(_ dialect: LoadDialect) -> Int64 {
        switch self {
        case .unlimited: 0
        case .seconds(let seconds): Int64(seconds) * 1_000
        case .until(let time): dialect == .memcached ? time : max(time - wallMilliseconds(), 1)
        }
    }
}

/// What is stored under a key.
struct EntryForm: Sendable {
    /// Sixteen digits.
    static let keys: KeyFormat = {
        guard let format = KeyFormat(prefix: "", length: 16, count: 1 << 40) else { preconditionFailure("it has room for them") }
        return format
    }()

    var valueBytes = 100
    /// Whether a value looks like a record of JSON, every one another, or is one repeated byte.
    var isJSON = false
    var lifetime = EntryLifetime.unlimited

    /// Replaces `value` by what belongs under a key.
    func fill(_ value: inout ByteBuffer, _ number: Int) {
        guard isJSON || value.count != valueBytes else { return }
        value.removeAll()
        if isJSON {
            // About as compressible as real records are: field names repeat, what they say does not.
            let noise = (UInt64(number) &+ 1) &* 0x9E37_79B9_7F4A_7C15
            value.append("{\"id\":")
            value.append(decimal: Int64(number))
            value.append(",\"user\":\"u")
            value.append(decimal: Int64(noise >> 44))
            value.append("\",\"score\":0.")
            value.append(decimal: Int64(noise >> 20 & 0xFF_FFFF))
            value.append(",\"active\":")
            value.append(utf8: noise & 1 == 0 ? "true" : "false")
            value.append(",\"token\":\"")
            var bits = noise ^ noise << 7
            while value.count < valueBytes - 2 {
                bits = bits &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                value.append(byte: UInt8(ascii: "a") + UInt8(bits >> 59) % 16)
            }
            value.append("\"}")
        } else {
            for _ in 0..<valueBytes { value.append(byte: UInt8(ascii: "v")) }
        }
    }
}
