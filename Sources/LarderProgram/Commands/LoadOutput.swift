// What `larder load` prints and writes.

import Foundation
import LarderLoad

/// The figures of a load, for people and for programs.
struct LoadOutput: Printable {
    struct Latency: Encodable {
        let operation: String
        let requests: Int
        /// Microseconds, as all that follow.
        let mean: Double
        let p50: Double
        let p90: Double
        let p99: Double
        let p999: Double
        let p9999: Double
        let max: Double

        init(_ row: LatencyRow) {
            operation = row.name
            requests = row.requests
            mean = Double(row.mean) / 1_000
            p50 = Double(row.p50) / 1_000
            p90 = Double(row.p90) / 1_000
            p99 = Double(row.p99) / 1_000
            p999 = Double(row.p999) / 1_000
            p9999 = Double(row.p9999) / 1_000
            max = Double(row.maximum) / 1_000
        }
    }

    struct Refusal: Encodable {
        let kind: String
        let count: Int
        let sentence: String
    }

    struct Errors: Encodable {
        let refused: Int
        let unanswered: Int
        let neverSent: Int
        let connectionsLost: Int
        let connectsFailed: Int
        let refusals: [Refusal]
    }

    struct Point: Encodable {
        let seconds: Double
        let requestsPerSecond: Double
        let errors: Int
        let p50: Double
        let p99: Double
        let p999: Double
        let max: Double
    }

    struct Step: Encodable {
        let offered: Double
        let requestsPerSecond: Double
        let errors: Int
        let holds: Bool
        let latency: Latency
    }

    struct Judged: Encodable {
        let reads: Int
        let lost: Int
        let wrong: Int
        let expiredButAlive: Int
        let resurrected: Int
        let unclear: Int
        let named: [String]
    }

    let description: [String: String]
    let seconds: Double
    let requests: Int
    let requestsPerSecond: Double
    let hits: Int
    let misses: Int
    let sentBytes: Int
    let receivedBytes: Int
    let latency: [Latency]
    let errors: Errors
    let points: [Point]
    /// The steps of a ramp.
    let steps: [Step]?
    /// What the last step that held offered.
    let knee: Double?
    let judged: Judged?
    /// Processor time of the generator for a request, in microseconds.
    let ownMicrosecondsPerRequest: Double
    let warnings: [String]
    let text: String

    enum CodingKeys: CodingKey {
        case description, seconds, requests, requestsPerSecond, hits, misses, sentBytes, receivedBytes, latency, errors, points,
            steps, knee, judged, ownMicrosecondsPerRequest, warnings
    }

    init(_ report: LoadReport) {
        let outcome = report.outcome
        let tally = outcome.tally
        description = Dictionary(report.description.map { ($0.name, $0.value) }) { first, _ in first }
        seconds = outcome.seconds
        requests = tally.repliesTotal
        requestsPerSecond = outcome.rate
        hits = tally.hits
        misses = tally.misses
        sentBytes = tally.sentBytes
        receivedBytes = tally.receivedBytes
        latency = report.rows.map { Latency($0) }
        errors = Errors(
            refused: tally.refused, unanswered: tally.unanswered, neverSent: tally.unsent, connectionsLost: tally.connectionsLost,
            connectsFailed: tally.connectsFailed,
            refusals: tally.refusals.named(report.dialect).map { Refusal(kind: $0.name, count: $0.count, sentence: $0.sentence) })
        points = outcome.points.map {
            Point(
                seconds: $0.seconds, requestsPerSecond: $0.rate, errors: $0.errors, p50: Double($0.median) / 1_000,
                p99: Double($0.p99) / 1_000, p999: Double($0.p999) / 1_000, max: Double($0.maximum) / 1_000)
        }
        steps = report.steps.isEmpty ? nil : report.steps.map {
            Step(
                offered: $0.offered, requestsPerSecond: $0.outcome.rate, errors: $0.outcome.tally.errors, holds: $0.holds,
                latency: Latency(LatencyRow("all", $0.outcome.latency)))
        }
        knee = report.knee?.offered
        judged = outcome.faults.map {
            Judged(
                reads: $0.judged, lost: $0[.lost], wrong: $0[.wrong], expiredButAlive: $0[.expiredAlive],
                resurrected: $0[.resurrected], unclear: $0.unclear, named: $0.named)
        }
        ownMicrosecondsPerRequest = report.ownMicrosecondsPerRequest
        warnings = report.warnings
        let width = report.description.map(\.name.count).max() ?? 0
        let head = report.description.map { "\($0.name.padding(toLength: max(width, 12), withPad: " ", startingAt: 0)) \($0.value)\n" }
        text = head.joined() + "\n" + report.text
    }
}

extension LoadOutputOptions {
    /// Finds out whether the files can be written, while nothing has been measured yet. What is in them stays, and where there
    /// is none there is none: the load may not begin.
    func prepare() throws(CommandFailure) {
        for path in [hdr, report].compactMap({ $0 }) {
            try Self.attempt(path) { file in
                if FileManager.default.fileExists(atPath: path) {
                    try FileHandle(forWritingTo: file).close()
                } else {
                    try Data().write(to: file, options: .withoutOverwriting)
                    try FileManager.default.removeItem(at: file)
                }
            }
        }
    }

    /// Writes the files that were asked for.
    func write(_ report: LoadReport) throws(CommandFailure) {
        if let hdr { try Self.write(hdr.hasSuffix(".hlog") ? report.histogramLog : report.percentileDistribution, to: hdr) }
        if let path = self.report { try Self.write(report.html, to: path) }
    }

    private static func write(_ text: String, to path: String) throws(CommandFailure) {
        try attempt(path) { try Data(text.utf8).write(to: $0) }
    }

    private static func attempt(_ path: String, _ body: (URL) throws -> Void) throws(CommandFailure) {
        if (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true {
            throw CommandFailure(.failed, "\(path): is a directory; say the name of a file in it")
        }
        do { try body(URL(fileURLWithPath: path)) } catch {
            throw CommandFailure(.failed, "\(path): cannot be written: \(error.localizedDescription)")
        }
    }
}
