import Histogram
import LarderBytes
import LarderWire
import Testing

@testable import LarderLoad

@Suite("Statistics and reports") struct ReportTests {
    @Test(arguments: Seeds.some)
    func `percentiles agree with a sorted array to three digits`(seed: UInt64) throws {
        var random = RandomStream(seed: seed)
        let distribution = try #require(Distribution("lognormal:100000/2.0/3000000000", limit: 1 << 40) { Int64($0) })
        var latencies = LatencyLimits.empty()
        let values = (0..<50_000).map { _ in UInt64(distribution.sample(&random)) }
        for value in values { latencies.record(value) }
        let sorted = values.sorted()
        for percentile in [50, 90, 99, 99.9, 99.99] {
            let rank = Int((percentile / 100 * Double(sorted.count) - 1e-6).rounded(.up))
            let exact = Double(sorted[rank - 1])
            let found = Double(latencies.valueAtPercentile(percentile))
            #expect(abs(found - exact) <= exact * 0.001 + 1, "p\(percentile)")
        }
        let row = LatencyRow("all", latencies)
        #expect(row.requests == 50_000)
        #expect(row.maximum == latencies.highestEquivalentForValue(try #require(sorted.last)))
        #expect(abs(Double(row.mean) - Double(values.reduce(0, +)) / 50_000) < Double(row.mean) * 0.001)
    }

    @Test func `an interval is complete when every thread has brought its share`() {
        let board = Board(threads: 2, intervalNanoseconds: 500_000_000)
        var latencies = LatencyLimits.coarse()
        for value in 1...100 as ClosedRange<UInt64> { latencies.record(value * 1_000) }
        board.deposit(0, thread: 0, latencies, errors: 1)
        #expect(board.points.isEmpty)
        #expect(board.latest.replies == 100)
        board.deposit(1, thread: 0, latencies, errors: 0)
        board.deposit(0, thread: 1, latencies, errors: 2)
        let point = board.points[0]
        #expect(board.points.count == 1)
        #expect(point.seconds == 0.5)
        #expect(point.rate == 400)
        #expect(point.errors == 3)
        #expect((50_000...50_500).contains(point.median), "half of 100 us, to two digits")
        #expect(point.maximum == 100_000)
    }

    @Test func `a thread that ends early holds up nobody, and a cut interval is not shown`() {
        let board = Board(threads: 2, intervalNanoseconds: 500_000_000)
        var latencies = LatencyLimits.coarse()
        latencies.record(1_000)
        board.deposit(0, thread: 0, latencies, errors: 0)
        board.deposit(0, thread: 1, latencies, errors: 0)
        board.deposit(1, thread: 0, latencies, errors: 0, isLast: true)
        board.deposit(1, thread: 1, latencies, errors: 0)
        board.deposit(2, thread: 1, latencies, errors: 0)
        board.deposit(3, thread: 1, latencies, errors: 0, isLast: true)
        #expect(board.points.map(\.seconds) == [0.5, 1.5])
        #expect(board.latest.replies == 6)

        let short = Board(threads: 1, intervalNanoseconds: 500_000_000)
        short.deposit(0, thread: 0, latencies, errors: 0, isLast: true)
        #expect(short.points.isEmpty)
    }

    @Test func `an interval in which nothing was answered shows how long was waited, and not a latency of 0`() {
        let board = Board(threads: 2, intervalNanoseconds: 500_000_000)
        board.deposit(0, thread: 0, LatencyLimits.coarse(), errors: 0, waited: 400_000_000)
        board.deposit(0, thread: 1, LatencyLimits.coarse(), errors: 0, waited: 300_000_000)
        let point = board.points[0]
        #expect(point.rate == 0)
        #expect((400_000_000...403_000_000).contains(point.median), "to two digits")
        #expect(point.p99 == point.median)
        #expect(board.latest.replies == 0)
    }

    // MARK: Pages

    private func report(steps: Int = 0, points: Int = 30) -> LoadReport {
        var outcome = LoadOutcome()
        for value in 1...1_000 as ClosedRange<UInt64> { outcome.latencies[0].record(value * 10_000) }
        outcome.latencies[1].record(123_456_789)
        outcome.service = outcome.latencies[0]
        outcome.tally.replies = [1_000, 1, 0]
        outcome.tally.hits = 900
        outcome.tally.misses = 100
        outcome.tally.unsent = 12
        outcome.seconds = 3
        outcome.ownNanoseconds = 5_000_000
        let said = ByteBuffer("OOM <no> room & \"more\" \u{1B}[31m")
        outcome.tally.refusals.count(said.bytes, kind: ByteRange(start: 0, count: 3), sentence: ByteRange(start: 0, count: said.count))
        outcome.points = (0..<points).map {
            TimePoint(seconds: Double($0 + 1) / 10, rate: Double(1_000 + $0), errors: 0, median: 1_000, p99: 5_000, p999: 7_000, maximum: 9_000)
        }
        var faults = FaultCount()
        faults.count(.lost) { "k/<1>: lost & gone" }
        outcome.faults = faults
        var report = LoadReport(
            description: [("server", "127.0.0.1:1, resp"), ("path", "<b>&\"'")], dialect: .resp, isOpenLoop: true, threads: 2, outcome: outcome)
        report.steps = (0..<steps).map { LoadReport.Step(offered: 1_000 * Double($0 + 1), outcome: outcome, holds: $0 < 2) }
        return report
    }

    @Test(arguments: [(0, 30), (0, 0), (0, 1), (0, 50_000), (3, 30), (1, 0)])
    func `the page is well-formed and asks for nothing`(steps: Int, points: Int) {
        let page = report(steps: steps, points: points).html
        #expect(WellFormed.fault(in: page) == nil)
        for word in ["<script", "src=", "href=", "url(", "@import", "http://", "https://", "=\"-\"", "-,", ",-"] {
            let text = page.replacing("http://www.w3.org/1999/xhtml", with: "")
            #expect(!text.contains(word), "\(word)")
        }
        #expect(page.contains("viewport") && page.contains("prefers-color-scheme: dark"))
        #expect(page.contains("OOM &lt;no&gt; room &amp; &quot;more&quot; .[31m"))
        #expect(page.utf8.count < 200_000)
    }

    @Test func `a page of a load that got no reply is well-formed`() {
        let empty = LoadReport(description: [], dialect: .http, isOpenLoop: false, threads: 1, outcome: LoadOutcome())
        #expect(WellFormed.fault(in: empty.html) == nil)
        #expect(empty.text.contains("requests     0"))
    }

    @Test func `the checker finds faults`() {
        for text in ["<a>", "<a></b>", "</a>", "<a b></a>", "<a b=\"1></a>", "a & b", "<a>&nope;</a>", "<a b=\"<\"/>", "text", "<a/><b/>"] {
            #expect(WellFormed.fault(in: text) != nil, "\(text)")
        }
        #expect(WellFormed.fault(in: "<!DOCTYPE html>\n<a b=\"1\"><c/>text &amp; more</a>\n") == nil)
    }

    @Test func `peaks survive thinning`() {
        let points = (0..<100_000).map { (x: Double($0), y: $0 == 77_777 ? 5.0 : 1.0) }
        let thinned = Plot.thinned(points)
        #expect(thinned.count <= 1_000)
        #expect(thinned.contains { $0.y == 5 })
    }

    @Test(arguments: [0.0004, 0.9, 1, 3, 7, 10, 49, 50, 51, 99_999, 1e9])
    func `ticks are round, few, and reach the top`(high: Double) throws {
        let ticks = Plot.ticks(upTo: high)
        #expect(try #require(ticks.last) >= high)
        #expect((2...7).contains(ticks.count), "\(ticks)")
    }

    @Test func `the table names what was refused, judged and never sent`() {
        let text = report().text
        #expect(text.contains("1 x OOM: OOM <no> room & \"more\" .[31m"))
        #expect(text.contains("12 never sent"))
        #expect(text.contains("1 lost, 0 wrong"))
        #expect(text.contains("k/<1>: lost & gone"))
        #expect(text.contains("warning: 12 requests came due and were never sent"))
        #expect(report(steps: 3).text.contains("knee: 2,000 requests/s held"))
    }

    @Test func `a generator that is short of its own time is named beside the server`() {
        var report = report()
        report.outcome.ownNanoseconds = 950
        report.outcome.ownWallNanoseconds = 1_000
        #expect(report.text.contains("95 % of 2 threads"))
        #expect(report.text.contains("never sent: the generator or the server did not keep up"))
        report.outcome.ownNanoseconds = 500
        #expect(report.text.contains("never sent: the server did not keep up"))
    }

    @Test func `a server that was gone in the last step of a ramp is not passed over for the step that held`() {
        var report = report(steps: 3)
        #expect(!report.ended.serverIsGone)
        report.steps[2].outcome.serverIsGone = true
        #expect(report.ended.serverIsGone)
        #expect(report.text.contains("warning: the server was gone when the load ended"))
    }

    @Test func `the distribution has the form that tools read`() throws {
        let lines = report().percentileDistribution.split(separator: "\n")
        #expect(lines[0].split(separator: " ") == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
        let last = try #require(lines.last { !$0.hasPrefix("#") })
        #expect(last.split(separator: " ")[1] == "1.000000000000")
        #expect(last.split(separator: " ")[2] == "1001")
        #expect(lines.contains { $0.hasPrefix("#[Mean") } && lines.contains { $0.hasPrefix("#[Max") })
    }

    @Test func `the maximum is the same in the table, the distribution and the log`() throws {
        var report = report()
        report.outcome.latencies = LoadOperation.allCases.map { _ in LatencyLimits.empty() }
        report.outcome.latencies[0].record(1_012_458_000)
        #expect(report.rows[0].maximum == 1_012_924_415)
        #expect(report.percentileDistribution.contains("#[Max     =     1012.924"))
        #expect(report.histogramLog.contains(",1012.924,HISTFAAA"))
    }

    @Test func `loads can be merged, as the log is what HdrHistogram's tools decode`() throws {
        var latencies = LatencyLimits.empty()
        for value in [0, 1, 2_047, 2_048, 2_049, 1_000_000, 1_000_000, 123_456_789, 3_600_000_000_000] as [UInt64] { latencies.record(value) }
        // Read by hdrhistogram 0.10.8 of PyPI, and with what it encodes itself but for the compression:
        // HdrHistogram.decode(line).get_recorded_iterator()
        let line = "HISTFAAAAER4AQE5AMb/HISTEwAAABEAAAAAAAAAAwAAAAAAAAABAAADRjC4oAA/8AAAAAAAAAIC+R8CBL+OAQTxbgLf7AECyL4J/w=="
        let log = HistogramLog.text(latencies, began: 1_700_000_000_123, seconds: 2.5)
        #expect(
            log.split(separator: "\n") == [
                "#[Histogram log format version 1.3]", "#[StartTime: 1700000000.123 (seconds since epoch)]",
                "#[BaseTime: 1700000000.123 (seconds since epoch)]",
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
                "0.000,2.500,3601330.078,\(line)",
            ])
        #expect(HistogramLog.encoded(LatencyLimits.empty()).count == 40)
    }

    @Test func `text of bytes and streams of any length are whole`() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map { text in
            var encoded = ByteBuffer()
            encoded.append(base64: Array(text.utf8).rawSpan)
            return String(utf8: encoded.bytes)
        }
        #expect(texts == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"])
        let long = ZlibStream.stored([UInt8](repeating: 97, count: 65_537))
        #expect(long.count == 2 + 5 + 65_535 + 5 + 2 + 4)
        #expect(Array(long[..<7]) == [0x78, 1, 0, 0xFF, 0xFF, 0, 0])
        #expect(Array(long[65_542..<65_547]) == [1, 2, 0, 0xFD, 0xFF])
        #expect(Array(long.suffix(4)) == [0x33, 0x98, 0x06, 0x11])
        #expect(ZlibStream.stored([]) == [0x78, 1, 1, 0, 0, 0xFF, 0xFF, 0, 0, 0, 1])
    }

    @Test func `figures are short`() {
        #expect(Figures.time(0) == "0")
        #expect(Figures.time(999) == "0.999 us")
        #expect(Figures.time(87_400) == "87.4 us")
        #expect(Figures.time(1_250_000) == "1.25 ms")
        #expect(Figures.time(12_300_000_000) == "12.3 s")
        #expect(Figures.count(1_234_567) == "1,234,567")
        #expect(Figures.count(-1_000) == "-1,000")
        #expect(Figures.rate(50_000) == "50,000")
        #expect(Figures.rate(0.001) == "0.001", "a rate below 1 is not 0")
        #expect(Figures.fixed(1.005, 1) == "1.0")
        #expect(Figures.fixed(-0.04, 1) == "0.0")
        #expect(Figures.fixed(.nan, 1) == "-")
    }

    @Test func `a progress line says how it goes`() {
        let point = TimePoint(seconds: 1, rate: 12_345, errors: 0, median: 80_000, p99: 200_000, p999: 1_000_000, maximum: 2_000_000)
        #expect(
            ProgressLine.text((point, 5, 3), elapsed: 4_000_000_000, duration: 10_000_000_000)
                == "12,345/s, 3 errors, p50 80.0 us, p99 200 us, p99.9 1.00 ms, 6 s left")
        #expect(ProgressLine.text((nil, 0, 0), elapsed: 2_000_000_000, duration: nil) == "2 s")
        #expect(ProgressLine.text((nil, 0, 0), elapsed: -2_000_000_000, duration: 1).contains("warming up"))
    }
}

/// Whether a text is one well-formed element, by the few rules of XML that a page can break.
enum WellFormed {
    static func fault(in text: String) -> String? {
        var open: [Substring] = []
        var roots = 0
        var rest = text[...]
        while let start = rest.firstIndex(where: { $0 == "<" || $0 == "&" }) {
            if open.isEmpty, rest[..<start].contains(where: { !$0.isWhitespace }) { return "text outside" }
            rest = rest[start...]
            if rest.first == "&" {
                guard let end = rest.firstIndex(of: ";"), ["&amp", "&lt", "&gt", "&quot"].contains(rest[..<end]) else { return "a bare &" }
                rest = rest[rest.index(after: end)...]
                continue
            }
            guard let end = rest.firstIndex(of: ">") else { return "a tag without an end" }
            var tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("!DOCTYPE") { continue }
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return "</\(tag.dropFirst())> closes another" }
                continue
            }
            let isEmpty = tag.hasSuffix("/")
            if isEmpty { tag = tag.dropLast() }
            let name = tag.prefix { $0.isLetter || $0.isNumber }
            if let fault = attributeFault(tag.dropFirst(name.count)) { return "<\(tag)>: \(fault)" }
            if open.isEmpty { roots += 1 }
            if !isEmpty { open.append(name) }
        }
        if rest.contains(where: { !$0.isWhitespace }) { return "text outside" }
        return open.isEmpty && roots == 1 ? nil : "not one closed element: \(open)"
    }

    private static func attributeFault(_ text: Substring) -> String? {
        var rest = text
        while true {
            rest = rest.drop(while: \.isWhitespace)
            if rest.isEmpty { return nil }
            let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "-" || $0 == ":" }
            rest = rest.dropFirst(name.count)
            guard !name.isEmpty, rest.hasPrefix("=\"") else { return "an attribute without a value" }
            rest = rest.dropFirst(2)
            guard let end = rest.firstIndex(of: "\"") else { return "a value without an end" }
            if rest[..<end].contains("<") { return "< in a value" }
            rest = rest[rest.index(after: end)...]
        }
    }
}
