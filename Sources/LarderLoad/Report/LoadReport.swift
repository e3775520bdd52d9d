// What a load came to, as a value that all forms of output read.

import Histogram

/// One line of the table: latencies in nanoseconds.
package struct LatencyRow: Equatable, Sendable {
    package let name: String
    package let requests: Int
    package let mean: UInt64
    package let p50: UInt64
    package let p90: UInt64
    package let p99: UInt64
    package let p999: UInt64
    package let p9999: UInt64
    package let maximum: UInt64

    package init(_ name: String, _ latencies: Latencies) {
        self.name = name
        requests = Int(latencies.totalCount)
        mean = latencies.totalCount > 0 ? UInt64(latencies.mean) : 0
        p50 = latencies.valueAtPercentile(50)
        p90 = latencies.valueAtPercentile(90)
        p99 = latencies.valueAtPercentile(99)
        p999 = latencies.valueAtPercentile(99.9)
        p9999 = latencies.valueAtPercentile(99.99)
        // As exact as the rest, and as HdrHistogram's tools say it.
        maximum = latencies.max
    }

    static let heads = ["requests", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"]
    var cells: [String] { [Figures.count(requests)] + [mean, p50, p90, p99, p999, p9999, maximum].map(Figures.time) }
}

/// A whole load: what was asked for, and what one run, or every step of a ramp, measured.
package struct LoadReport: Sendable {
    /// One step of a ramp.
    package struct Step: Sendable {
        package var offered: Double
        package var outcome: LoadOutcome
        package var holds: Bool

        package init(offered: Double, outcome: LoadOutcome, holds: Bool) {
            self.offered = offered
            self.outcome = outcome
            self.holds = holds
        }
    }

    /// Lines that say what was run: name and value.
    package var description: [(name: String, value: String)]
    package var dialect: LoadDialect
    package var isOpenLoop: Bool
    /// Threads of the generator.
    package var threads: Int
    package var outcome: LoadOutcome
    package var steps: [Step] = []

    package init(description: [(name: String, value: String)], dialect: LoadDialect, isOpenLoop: Bool, threads: Int, outcome: LoadOutcome) {
        self.description = description
        self.dialect = dialect
        self.isOpenLoop = isOpenLoop
        self.threads = threads
        self.outcome = outcome
    }

    /// Latencies by name: all operations, each that occurred, and in an open loop the time from sending.
    package var rows: [LatencyRow] {
        var rows: [LatencyRow] = []
        let used = LoadOperation.allCases.filter { outcome.latencies[Int($0.rawValue)].totalCount > 0 }
        for operation in used { rows.append(LatencyRow(operation.name, outcome.latencies[Int(operation.rawValue)])) }
        if used.count != 1 { rows.append(LatencyRow("all", outcome.latency)) }
        if isOpenLoop { rows.append(LatencyRow("from sending", outcome.service)) }
        return rows
    }

    /// Processor time of the generator for a request, in microseconds.
    package var ownMicrosecondsPerRequest: Double {
        outcome.tally.repliesTotal > 0 ? Double(outcome.ownNanoseconds) / 1_000 / Double(outcome.tally.repliesTotal) : 0
    }

    /// The share of its threads' time in which the generator was at work.
    package var ownShare: Double {
        outcome.ownWallNanoseconds > 0 ? Double(outcome.ownNanoseconds) / Double(outcome.ownWallNanoseconds) : 0
    }

    /// What the reader cannot tell from the server.
    private var isShort: Bool { ownShare > 0.9 && isOpenLoop }

    /// What the reader should know before believing the figures.
    package var warnings: [String] {
        var warnings: [String] = []
        if isShort {
            warnings.append(
                "the generator used \(Figures.fixed(ownShare * 100, 0)) % of its threads: latencies may be its own; give it more --threads")
        }
        if outcome.tally.unsent > 0 {
            warnings.append(
                "\(Figures.count(outcome.tally.unsent)) requests came due and were never sent: \(isShort ? "the generator or " : "")the server did not keep up; "
                    + "their latency is the time until the end, and would have been more")
        }
        if outcome.tally.unanswered > 0 {
            warnings.append(
                "\(Figures.count(outcome.tally.unanswered)) requests were never answered; their latency is the time until they were given up")
        }
        if ended.serverIsGone { warnings.append("the server was gone when the load ended") }
        return warnings
    }

    /// How the load ended: with the last step of a ramp, whatever `outcome` is of.
    package var ended: LoadOutcome { steps.last?.outcome ?? outcome }

    /// The last step of a ramp that held, if any did.
    package var knee: Step? { steps.last { $0.holds } }
}
