// Numbers as people read them.

package enum Figures {
    /// `value` with `digits` behind the point.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        var power: Int64 = 1
        for _ in 0..<digits { power *= 10 }
        let scaled = Int64((abs(value) * Double(power)).rounded())
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % power)
        return "\(sign)\(scaled / power).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }

    /// Three significant digits or so: `0.123`, `4.56`, `78.9`, `1234`.
    package static func short(_ value: Double) -> String {
        fixed(value, abs(value) < 1 ? 3 : abs(value) < 10 ? 2 : abs(value) < 100 ? 1 : 0)
    }

    /// Nanoseconds in the unit that fits: `87 us`, `1.25 ms`, `3.1 s`.
    package static func time(_ nanoseconds: UInt64) -> String {
        let value = Double(nanoseconds)
        return switch nanoseconds {
        case 0: "0"
        case ..<1_000_000: "\(short(value / 1e3)) us"
        case ..<1_000_000_000: "\(short(value / 1e6)) ms"
        default: "\(short(value / 1e9)) s"
        }
    }

    /// With commas between thousands.
    package static func count(_ value: Int) -> String {
        let digits = Array(String(abs(value)))
        var text = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// Requests a second, as they were asked for.
    package static func rate(_ value: Double) -> String {
        value < 1e15 && value == value.rounded() ? count(Int(value)) : "\(value)"
    }

    package static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
