// What was found, as tables that people read: on the output, and in docs/benchmarks.md.

/// A figure held against a limit.
struct Check {
    var text: String
    var isMet: Bool
    /// Within the noise of the machine.
    var isTie = false

    /// `value` is to be at most `limit` times `other`.
    ///
    /// - Parameter tie: How near 1 the ratio has to be to say nothing.
    static func ratio(_ what: String, _ value: Double, to name: String, _ other: Double, atMost limit: Double, tie: Double = 0) -> Check {
        let ratio = other > 0 ? value / other : .infinity
        return Check(
            text: "\(what)\(fixed(ratio, 2)) x \(name) (<= \(fixed(limit, 2)))", isMet: ratio <= limit, isTie: abs(ratio - 1) <= tie)
    }

    static func atMost(_ what: String, _ value: Double, _ limit: Double, unit: String, digits: Int = 1) -> Check {
        let shown = limit == limit.rounded() ? fixed(limit, 0) : fixed(limit, max(digits, 1))
        return Check(text: "\(what)\(fixed(value, digits))\(unit) (<= \(shown)\(unit))", isMet: value <= limit)
    }

    static func atLeast(_ what: String, _ value: Double, _ limit: Double, unit: String, digits: Int = 2) -> Check {
        Check(text: "\(what)\(fixed(value, digits))\(unit) (>= \(fixed(limit, 2))\(unit))", isMet: value >= limit)
    }
}

/// A line of the summary.
struct Row {
    var number: Int
    var question: String
    var checks: [Check]
    /// Why there is nothing to check.
    var absence: String?

    init(_ number: Int, _ question: String, _ checks: [Check]) {
        self.number = number
        self.question = question
        self.checks = checks
        absence = checks.isEmpty ? "nothing to compare with is here" : nil
    }

    init(_ number: Int, _ question: String, notMeasured reason: String) {
        self.init(number, question, [])
        absence = reason
    }

    var verdict: String {
        if checks.isEmpty { return "-" }
        let missed = checks.filter { !$0.isMet }
        if missed.isEmpty { return checks.contains(where: \.isTie) ? "met (a tie)" : "met" }
        return missed.allSatisfy(\.isTie) ? "**missed** (a tie)" : "**missed**"
    }

    var found: String { absence ?? checks.map { $0.isMet ? $0.text : "**\($0.text)**" }.joined(separator: "; ") }
}

/// Figures side by side.
struct Table {
    var title: String
    /// The first column is text, the others are figures.
    var head: [String]
    var lines: [[String]]
    var notes: [String] = []
    /// Its name in the table of costs, and what that says of it.
    var brief: String?
    var costs: [Cost] = []

    var markdown: String {
        var text = title.isEmpty ? "" : "### \(title)\n\n"
        text += "| " + head.joined(separator: " | ") + " |\n"
        text += "| --- |" + head.dropFirst().map { _ in " ---: |" }.joined() + "\n"
        for line in lines { text += "| " + line.joined(separator: " | ") + " |\n" }
        for note in notes { text += "\n\(note)\n" }
        return text + "\n"
    }
}

/// What a measure found.
struct Finding {
    var rows: [Row] = []
    var tables: [Table] = []
}

struct Report {
    var head: String
    var findings: [Finding] = []

    static let begin = "<!-- Measured: what follows, up to the end mark, is written by `make bench-engine`. -->"
    static let end = "<!-- End of what was measured. -->"

    var markdown: String { "\(head)\n\n\(summary)" + findings.flatMap(\.tables).map(\.markdown).joined() }

    var summary: String {
        let rows = findings.flatMap(\.rows).sorted { $0.number < $1.number }
        var text = "| | measure | found, and the target | |\n| ---: | --- | --- | --- |\n"
        for row in rows { text += "| \(row.number) | \(row.question) | \(row.found) | \(row.verdict) |\n" }
        return text + "\n"
    }

    /// What requests cost, all on a few lines.
    ///
    /// - Parameter servers: The columns: what a contender's name begins with, and its version.
    func costs(_ servers: [(name: String, version: String)]) -> String {
        var text = "| | " + servers.map { "\($0.name) \($0.version)" }.joined(separator: " | ") + " |\n| --- |"
        text += servers.map { _ in " ---: |" }.joined() + "\n"
        for table in findings.flatMap(\.tables) {
            guard let brief = table.brief else { continue }
            let cells = servers.map { server in
                let cost = table.costs.first { $0.name.hasPrefix(server.name) }
                return cost.map { "\(fixed($0.median, 2)) (\(fixed($0.user, 2)))" } ?? "-"
            }
            text += "| \(brief) | " + cells.joined(separator: " | ") + " |\n"
        }
        return text + "\n"
    }

    /// Puts `text` between the marks of a file; what people wrote around them stays.
    static func write(_ text: String, to path: String) throws {
        let old = readText(path)
        guard let first = old.firstRange(of: begin), let last = old.firstRange(of: end), first.upperBound <= last.lowerBound else {
            throw BenchError("\(path) has no marks to write between")
        }
        try writeText(path, old[..<first.lowerBound] + "\(begin)\n\n\(text)\(end)" + old[last.upperBound...])
    }
}

func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((abs(value) * Double(scale)).rounded())
    let fraction = String(scaled % scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return digits == 0 ? "\(sign)\(scaled)" : "\(sign)\(scaled / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

/// 1234567 as 1,234,567.
func grouped(_ value: Int) -> String {
    var digits = String(value)
    var position = digits.count - 3
    while position > 0 {
        digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
        position -= 3
    }
    return digits
}

extension Array where Element == Double {
    var median: Double { isEmpty ? .nan : sorted()[count / 2] }
}
