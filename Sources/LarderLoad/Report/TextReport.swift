// The table at the end of a load.

import Histogram

extension LoadReport {
    package var text: String {
        var lines: [String] = []
        let tally = outcome.tally
        if steps.isEmpty {
            lines.append(latencyTable)
        } else {
            lines.append(stepTable)
            if let knee {
                lines.append("knee: \(Figures.rate(knee.offered)) requests/s held; the next step did not, or there was none\n")
            } else {
                lines.append("knee: no step held; begin lower (--ramp-from)\n")
            }
        }
        if steps.isEmpty {
            lines.append("requests     \(Figures.count(tally.repliesTotal)) in \(Figures.fixed(outcome.seconds, 2)) s, \(Figures.count(Int(outcome.rate.rounded())))/s")
            if tally.hits + tally.misses > 0 {
                let share = Double(tally.hits) / Double(tally.hits + tally.misses) * 100
                lines.append("reads        \(Figures.count(tally.hits)) hits, \(Figures.count(tally.misses)) misses (\(Figures.fixed(share, 1)) % hits)")
            }
            lines.append("traffic      \(bytes(tally.sentBytes)) sent, \(bytes(tally.receivedBytes)) received")
            lines.append(
                "errors       \(Figures.count(tally.refused)) refused, \(Figures.count(tally.unanswered)) unanswered, \(Figures.count(tally.unsent)) never sent, "
                    + "\(Figures.count(tally.connectionsLost)) connections lost, \(Figures.count(tally.connectsFailed)) connects failed")
            for refusal in tally.refusals.named(dialect) {
                lines.append("  \(Figures.count(refusal.count)) x \(refusal.name)\(refusal.sentence.isEmpty ? "" : ": \(refusal.sentence)")")
            }
            lines.append(
                "own cost     \(Figures.fixed(ownMicrosecondsPerRequest, 2)) us of processor time a request, \(Figures.fixed(ownShare * 100, 0)) % of \(threads) thread\(threads == 1 ? "" : "s")")
        }
        if let faults = outcome.faults { lines.append(Self.verdict(faults)) }
        for warning in warnings { lines.append("warning: \(warning)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// What judging the replies came to.
    static func verdict(_ faults: FaultCount) -> String {
        var text = "judged       \(Figures.count(faults.judged)) reads: "
        text += Fault.allCases.map { "\(Figures.count(faults[$0])) \($0.name)" }.joined(separator: ", ")
        if faults.unclear > 0 { text += ", \(Figures.count(faults.unclear)) unclear" }
        for sentence in faults.named { text += "\n  \(sentence)" }
        return text
    }

    private var latencyTable: String {
        var text = Figures.padded("latency", 12)
        text += LatencyRow.heads.map { Figures.padded($0, 11) }.joined() + "\n"
        for row in rows { text += Figures.padded(row.name, 12) + row.cells.map { Figures.padded($0, 11) }.joined() + "\n" }
        return text
    }

    private var stepTable: String {
        let heads = ["offered/s", "answered/s", "p50", "p99", "p99.9", "errors", "holds"]
        var text = heads.map { Figures.padded($0, 12) }.joined() + "\n"
        for step in steps {
            let row = LatencyRow("", step.outcome.latency)
            let values = [
                Figures.rate(step.offered), Figures.count(Int(step.outcome.rate)), Figures.time(row.p50),
                Figures.time(row.p99), Figures.time(row.p999),
                Figures.count(step.outcome.tally.errors), step.holds ? "yes" : "no",
            ]
            text += values.map { Figures.padded($0, 12) }.joined() + "\n"
        }
        return text
    }

    private func bytes(_ count: Int) -> String {
        let value = Double(count)
        return switch count {
        case ..<1_024: "\(count) B"
        case ..<(1 << 20): "\(Figures.short(value / 1_024)) KiB"
        case ..<(1 << 30): "\(Figures.short(value / 1_048_576)) MiB"
        default: "\(Figures.short(value / 1_073_741_824)) GiB"
        }
    }

    /// The distribution in the text form of HdrHistogram, in milliseconds.
    package var percentileDistribution: String {
        var text = ""
        outcome.latency.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1e6)
        return text
    }

    /// The distribution as one interval of HdrHistogram's log, which can be merged with those of other loads.
    package var histogramLog: String { HistogramLog.text(outcome.latency, began: outcome.began, seconds: outcome.seconds) }
}

/// The line that is shown while a load runs.
package enum ProgressLine {
    /// - Parameters:
    ///   - elapsed: Nanoseconds since the measurement began; negative while it warms up.
    ///   - duration: How long it will last; nil where nobody knows.
    package static func text(_ latest: (point: TimePoint?, replies: Int, errors: Int), elapsed: Int64, duration: Int64?) -> String {
        guard elapsed >= 0 else { return "warming up, \(Figures.fixed(Double(-elapsed) / 1e9, 0)) s" }
        let left = duration.map { "\(Figures.fixed(Double(max(0, $0 - elapsed)) / 1e9, 0)) s left" } ?? "\(Figures.fixed(Double(elapsed) / 1e9, 0)) s"
        guard let point = latest.point else { return left }
        return "\(Figures.count(Int(point.rate)))/s, \(Figures.count(latest.errors)) errors, p50 \(Figures.time(point.median)), "
            + "p99 \(Figures.time(point.p99)), p99.9 \(Figures.time(point.p999)), \(left)"
    }
}
