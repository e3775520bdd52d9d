// A load as one page: plots and tables, with nothing fetched from anywhere and nothing executed.

import Histogram
import LarderPlatform

extension LoadReport {
    /// The page. Well-formed as XML too.
    package var html: String {
        """
        <!DOCTYPE html>
        <html xmlns="http://www.w3.org/1999/xhtml" lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>larder load</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <main>
        <h1>larder load</h1>
        \(descriptionList)
        \(warnings.map { "<p class=\"warning\">\(HTMLText.escaped($0))</p>" }.joined(separator: "\n"))
        \(steps.isEmpty ? singleRun : rampRun)
        \(faultSection)
        \(refusalSection)
        </main>
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --paper: #fbfaf7; --ink: #22252a; --soft: #6b7078; --grid: #dddad2;
          --a: #1f6fb2; --b: #c4581b; --c: #3d8a4d; --warn: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e4e2dc; --soft: #9a9fa8; --grid: #33373e;
          --a: #6fb3ec; --b: #ee9a5f; --c: #7fc98d; --warn: #ff8a80; } }
        body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
        main { max-width: 1120px; margin: 0 auto; padding: 1rem; }
        h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: 0; }
        dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 1rem; margin: 1rem 0; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
        th:first-child, td:first-child { text-align: left; padding-left: 0; } th { color: var(--soft); font-weight: 600; }
        .warning { color: var(--warn); }
        svg { width: 100%; height: auto; display: block; }
        svg text { font: 14px system-ui, sans-serif; fill: var(--soft); } svg .title { fill: var(--ink); font-weight: 600; }
        svg .grid { stroke: var(--grid); stroke-width: 1; }
        svg polyline, svg .a, svg .b, svg .c { fill: none; stroke-width: 2; stroke-linejoin: round; }
        svg .a { stroke: var(--a); } svg .b { stroke: var(--b); } svg .c { stroke: var(--c); }
        """

    private var descriptionList: String {
        "<dl>" + description.map { "<dt>\(HTMLText.escaped($0.name))</dt><dd>\(HTMLText.escaped($0.value))</dd>" }.joined() + "</dl>"
    }

    // MARK: One run

    private var singleRun: String {
        let plots = [percentilePlot, ratePlot, latencyPlot].map(\.svg).joined()
        return """
            <div class="plots">
            \(plots)</div>
            <h2>Latency</h2>
            \(Self.table(["operation"] + LatencyRow.heads, rows.map { [$0.name] + $0.cells }))
            <h2>Counts</h2>
            \(Self.table(["", "count"], counts))
            """
    }

    private var counts: [[String]] {
        let tally = outcome.tally
        return [
            ["requests", Figures.count(tally.repliesTotal)], ["requests a second", Figures.count(Int(outcome.rate.rounded()))],
            ["hits", Figures.count(tally.hits)], ["misses", Figures.count(tally.misses)], ["refused", Figures.count(tally.refused)],
            ["unanswered", Figures.count(tally.unanswered)], ["never sent", Figures.count(tally.unsent)],
            ["connections lost", Figures.count(tally.connectionsLost)], ["connects failed", Figures.count(tally.connectsFailed)],
        ]
    }

    /// Latency over 1 / (1 - percentile), so that each nine has the same room.
    private var percentilePlot: Plot {
        var lines: [Plot.Line] = [Plot.Line(name: isOpenLoop ? "from when due" : "latency", style: "a", points: Self.curve(outcome.latency))]
        if isOpenLoop { lines.append(Plot.Line(name: "from sending", style: "b", points: Self.curve(outcome.service))) }
        let labels = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"]
        // No tick beyond the line's end, where its name would be cut.
        let nines = Int(lines.flatMap { $0.points.map(\.x) }.max() ?? 1)
        return Plot(
            title: "Latency by percentile", xName: lines.count > 1 ? "" : "percentile",
            lines: lines, xTicks: (0...min(max(nines, 1), 6)).map { Plot.Tick(position: Double($0), label: labels[$0]) },
            yLabel: { Figures.time(UInt64($0)) })
    }

    private static func curve(_ latencies: Latencies) -> [(x: Double, y: Double)] {
        guard latencies.totalCount > 0 else { return [] }
        // Beyond one request in all there is nothing to see.
        let nines = min(Mathematics.log(Double(latencies.totalCount)) / Mathematics.log(10), 6)
        return stride(from: 0, through: max(nines, 0.01), by: max(nines, 0.01) / 200).map { position in
            let percentile = 100 * (1 - Mathematics.exp(-position * Mathematics.log(10)))
            return (position, Double(latencies.valueAtPercentile(percentile)))
        }
    }

    private var timeTicks: [Plot.Tick] {
        let last = outcome.points.last?.seconds ?? 1
        return Plot.ticks(upTo: last).filter { $0 <= last * 1.001 }.map { Plot.Tick(position: $0, label: "\(Figures.short($0))".replacingZeros) }
    }

    private var ratePlot: Plot {
        Plot(
            title: "Requests a second over time", xName: "seconds",
            lines: [Plot.Line(name: "requests", style: "c", points: outcome.points.map { ($0.seconds, $0.rate) })], xTicks: timeTicks,
            yLabel: { Figures.count(Int($0)) })
    }

    private var latencyPlot: Plot {
        Plot(
            title: "Latency over time", xName: "seconds",
            lines: [
                Plot.Line(name: "p50", style: "a", points: outcome.points.map { ($0.seconds, Double($0.median)) }),
                Plot.Line(name: "p99", style: "b", points: outcome.points.map { ($0.seconds, Double($0.p99)) }),
            ],
            xTicks: timeTicks, yLabel: { Figures.time(UInt64($0)) })
    }

    // MARK: A ramp

    private var rampRun: String {
        let high = steps.map(\.offered).max() ?? 1
        let ticks = Plot.ticks(upTo: high).filter { $0 <= high * 1.001 }.map { Plot.Tick(position: $0, label: Figures.count(Int($0))) }
        let answered = Plot(
            title: "Answered a second over offered", xName: "offered a second",
            lines: [Plot.Line(name: "answered", style: "c", points: steps.map { ($0.offered, $0.outcome.rate) })], xTicks: ticks,
            yLabel: { Figures.count(Int($0)) })
        let rows = steps.map { ($0, LatencyRow("", $0.outcome.latency)) }
        let latency = Plot(
            title: "Latency over offered rate", xName: "",
            lines: [
                Plot.Line(name: "p50", style: "a", points: rows.map { ($0.0.offered, Double($0.1.p50)) }),
                Plot.Line(name: "p99", style: "b", points: rows.map { ($0.0.offered, Double($0.1.p99)) }),
            ],
            xTicks: ticks, yLabel: { Figures.time(UInt64($0)) })
        let cells = rows.map { step, row in
            [Figures.rate(step.offered), Figures.count(Int(step.outcome.rate))] + [row.p50, row.p99, row.p999].map(Figures.time)
                + [Figures.count(step.outcome.tally.errors), step.holds ? "yes" : "no"]
        }
        let sentence = knee.map { "\(Figures.rate($0.offered)) requests a second held." } ?? "No step held."
        return """
            <p>\(sentence)</p>
            <div class="plots">
            \(answered.svg)\(latency.svg)</div>
            \(Self.table(["offered/s", "answered/s", "p50", "p99", "p99.9", "errors", "holds"], cells))
            """
    }

    // MARK: Tables

    private static func table(_ heads: [String], _ rows: [[String]]) -> String {
        let head = heads.map { "<th>\(HTMLText.escaped($0))</th>" }.joined()
        let body = rows.map { "<tr>" + $0.map { "<td>\(HTMLText.escaped($0))</td>" }.joined() + "</tr>" }.joined(separator: "\n")
        return "<div class=\"scroll\"><table>\n<thead><tr>\(head)</tr></thead>\n<tbody>\n\(body)\n</tbody></table></div>"
    }

    private var faultSection: String {
        guard let faults = outcome.faults else { return "" }
        var rows = [["reads judged", Figures.count(faults.judged)]]
        rows += Fault.allCases.map { [$0.name, Figures.count(faults[$0])] }
        let named = faults.named.map { "<p class=\"warning\">\(HTMLText.escaped($0))</p>" }.joined()
        return "<h2>Judgement</h2>\n\(Self.table(["", "count"], rows))\n\(named)"
    }

    private var refusalSection: String {
        let refusals = outcome.tally.refusals.named(dialect)
        guard !refusals.isEmpty else { return "" }
        return "<h2>Refusals</h2>\n"
            + Self.table(["kind", "count", "the first"], refusals.map { [$0.name, Figures.count($0.count), $0.sentence] })
    }
}

extension String {
    /// `2.00` as `2`.
    fileprivate var replacingZeros: String {
        guard contains(".") else { return self }
        var text = self
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return text
    }
}
