// Durations and sizes as people write them, both ways.
//
// Durations follow Go's `time.ParseDuration` (30s, 1h30m, 100ms) without the sign, and a bare number is seconds.
// Sizes are whole numbers with a binary (MiB) or decimal (MB) unit, and a bare number is bytes.

/// A duration as text.
package enum DurationText {
    /// The nanoseconds that `text` spells, for example `30s`, `1h30m`, `1.5s`, `100ms`, or `45` for 45 seconds.
    ///
    /// - Returns: nil for anything else, and for more than 64 bits of nanoseconds (292 years).
    package static func nanoseconds(_ text: some StringProtocol) -> Int64? {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= textBytesMax else { return nil }
        if bytes.allSatisfy(isDigit) {
            return Int64(exactly: number(bytes[...]) * 1_000_000_000)
        }
        // Cannot overflow: `number` stops at 10^19, an hour has fewer than 10^13 nanoseconds, and 40 bytes hold at most
        // 20 terms, so the sum stays below 10^34.
        var total: Int128 = 0
        var rest = bytes[...]
        while !rest.isEmpty {
            let whole = rest.prefix(while: isDigit)
            rest = rest.dropFirst(whole.count)
            var fraction = rest.prefix(0)
            if rest.first == UInt8(ascii: ".") {
                rest = rest.dropFirst()
                fraction = rest.prefix(while: isDigit)
                rest = rest.dropFirst(fraction.count)
            }
            guard whole.count + fraction.count > 0 else { return nil }
            let unitText = rest.prefix { !isDigit($0) && $0 != UInt8(ascii: ".") }
            rest = rest.dropFirst(unitText.count)
            guard let unit = unitNanoseconds(unitText) else { return nil }
            // Digits behind the ninth are below a nanosecond, or nearly so for the larger units: dropped, as Go does.
            let counted = fraction.prefix(9)
            total += number(whole) * unit + number(counted) * unit / powerOfTen(counted.count)
        }
        return Int64(exactly: total)
    }

    /// `milliseconds` in the fewest whole units: `15m`, `1h30m`, `100ms`, `0s`.
    package static func text(milliseconds: Int64) -> String {
        precondition(milliseconds >= 0, "a duration is not negative")
        guard milliseconds > 0 else { return "0s" }
        var rest = milliseconds
        var text = ""
        for (name, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] as [(String, Int64)]
        where rest >= size {
            text += "\(rest / size)\(name)"
            rest %= size
        }
        return text
    }

    private static let textBytesMax = 40

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// At most 10^19: what is larger is out of range in every unit.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int128 {
        let limit = powerOfTen(19)
        return digits.reduce(0) { min($0 * 10 + Int128($1 - 0x30), limit) }
    }

    private static func powerOfTen(_ exponent: Int) -> Int128 {
        (0..<exponent).reduce(1) { power, _ in power * 10 }
    }

    private static func unitNanoseconds(_ text: ArraySlice<UInt8>) -> Int128? {
        switch String(decoding: text, as: UTF8.self) {
        case "ns": 1
        case "us", "\u{B5}s", "\u{3BC}s": 1_000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m": 60_000_000_000
        case "h": 3_600_000_000_000
        default: nil
        }
    }
}

/// A size as text.
package enum SizeText {
    private static let units: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000), ("B", 1),
    ]

    /// The bytes that `text` spells, for example `64MiB`, `25 MB` or `1048576`.
    ///
    /// - Returns: nil for anything else, fractions and numbers beyond 64 bits included.
    package static func bytes(_ text: some StringProtocol) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, let number = Int(digits) else { return nil }
        let unitText = text.dropFirst(digits.count).drop { $0 == " " }
        guard !unitText.isEmpty else { return digits.count == text.count ? number : nil }
        guard let unit = units.first(where: { $0.name == unitText }) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit.bytes)
        return overflow ? nil : bytes
    }

    /// `bytes` in the largest unit that it is a whole number of, binary units first.
    package static func text(bytes: Int) -> String {
        precondition(bytes >= 0, "a size is not negative")
        guard bytes > 0, let unit = units.first(where: { bytes % $0.bytes == 0 }) else { return "0B" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}
