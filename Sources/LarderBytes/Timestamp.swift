// Times as text: RFC 3339 in UTC, for people and for programs.

extension ByteBuffer {
    /// Appends a time as RFC 3339 in UTC: three decimals, or nine, whose last six are `counter`.
    ///
    /// - Parameter milliseconds: Since the Unix epoch; what lies outside the years 1970 to 9999 is shown as their end.
    package mutating func append(timestamp milliseconds: Int64, counter: UInt32? = nil) {
        let lastMillisecond: Int64 = 253_402_300_799_999
        let clamped = min(max(milliseconds, 0), lastMillisecond)
        let (year, month, day) = CivilDate.of(daysSinceEpoch: clamped / 86_400_000)
        let time = clamped % 86_400_000
        append(digits: year, width: 4)
        append(byte: UInt8(ascii: "-"))
        append(digits: month, width: 2)
        append(byte: UInt8(ascii: "-"))
        append(digits: day, width: 2)
        append(byte: UInt8(ascii: "T"))
        append(digits: time / 3_600_000, width: 2)
        append(byte: UInt8(ascii: ":"))
        append(digits: time / 60_000 % 60, width: 2)
        append(byte: UInt8(ascii: ":"))
        append(digits: time / 1_000 % 60, width: 2)
        append(byte: UInt8(ascii: "."))
        append(digits: time % 1_000, width: 3)
        // More than a million writes in one millisecond share their last decimals.
        if let counter { append(digits: Int64(min(counter, 999_999)), width: 6) }
        append(byte: UInt8(ascii: "Z"))
    }

    private mutating func append(digits value: Int64, width: Int) {
        let start = count
        append(zeros: width)
        var rest = value
        for offset in (0..<width).reversed() {
            self[start + offset] = UInt8(rest % 10) + UInt8(ascii: "0")
            rest /= 10
        }
    }
}

extension String {
    /// A time as RFC 3339 in UTC, with three decimals.
    ///
    /// - Parameter milliseconds: Since the Unix epoch.
    package init(timestamp milliseconds: Int64) {
        var text = ByteBuffer()
        text.append(timestamp: milliseconds)
        self = String(utf8: text.bytes)
    }
}

private enum CivilDate {
    static func of(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // Years begin in March here, so that a leap day is the last of its year.
        let days = daysSinceEpoch + 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        return (yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0), civilMonth, day)
    }
}
