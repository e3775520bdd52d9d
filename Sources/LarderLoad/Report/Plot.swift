// A plot as SVG: lines over a grid, for a page that has no scripts.
//
// Colours are CSS variables of the page, so that one picture serves light and dark.

/// One picture with lines in it.
struct Plot {
    struct Line {
        var name: String
        /// A CSS class: `a`, `b`, `c`.
        var style: String
        var points: [(x: Double, y: Double)]
    }

    struct Tick {
        var position: Double
        var label: String
    }

    var title: String
    var xName: String
    var lines: [Line]
    var xTicks: [Tick]
    /// Formats a value of the other axis.
    var yLabel: (Double) -> String

    private static let width = 520.0
    private static let height = 300.0
    private static let left = 74.0
    private static let right = 16.0
    private static let top = 34.0
    private static let bottom = 46.0
    /// Points of a line at most: what more there is falls between pixels.
    private static let pointsMax = 1_000

    var svg: String {
        let xs = lines.flatMap { $0.points.map(\.x) } + xTicks.map(\.position)
        let xLow = xs.min() ?? 0
        let xHigh = max(xs.max() ?? 1, xLow + 1e-9)
        let yTicks = Self.ticks(upTo: lines.flatMap { $0.points.map(\.y) }.max() ?? 1)
        let yHigh = yTicks.last ?? 1
        func x(_ value: Double) -> String {
            Figures.fixed(Self.left + (value - xLow) / (xHigh - xLow) * (Self.width - Self.left - Self.right), 1)
        }
        func y(_ value: Double) -> String {
            Figures.fixed(Self.height - Self.bottom - value / yHigh * (Self.height - Self.top - Self.bottom), 1)
        }

        var text = "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" aria-label=\"\(HTMLText.escaped(title))\">\n"
        text += "<text class=\"title\" x=\"8\" y=\"18\">\(HTMLText.escaped(title))</text>\n"
        for tick in yTicks {
            text += "<line class=\"grid\" x1=\"\(x(xLow))\" x2=\"\(x(xHigh))\" y1=\"\(y(tick))\" y2=\"\(y(tick))\"/>"
            text += "<text x=\"\(Int(Self.left) - 8)\" y=\"\(y(tick))\" dy=\"4\" text-anchor=\"end\">\(HTMLText.escaped(yLabel(tick)))</text>\n"
        }
        for tick in xTicks {
            text += "<line class=\"grid\" x1=\"\(x(tick.position))\" x2=\"\(x(tick.position))\" y1=\"\(y(0))\" y2=\"\(y(yHigh))\"/>"
            text += "<text x=\"\(x(tick.position))\" y=\"\(Int(Self.height - Self.bottom) + 18)\" text-anchor=\"middle\">\(HTMLText.escaped(tick.label))</text>\n"
        }
        text += "<text x=\"\(Int(Self.width - Self.right))\" y=\"\(Int(Self.height) - 8)\" text-anchor=\"end\">\(HTMLText.escaped(xName))</text>\n"
        for line in lines where !line.points.isEmpty {
            let points = Self.thinned(line.points).map { "\(x($0.x)),\(y($0.y))" }
            text += "<polyline class=\"\(line.style)\" points=\"\(points.joined(separator: " "))\"/>\n"
        }
        if lines.count > 1 { text += legend }
        return text + "</svg>\n"
    }

    private var legend: String {
        var text = ""
        var position = Self.left
        for line in lines {
            let place = Int(position)
            text += "<line class=\"\(line.style)\" x1=\"\(place)\" x2=\"\(place + 18)\" y1=\"\(Int(Self.height) - 12)\" y2=\"\(Int(Self.height) - 12)\"/>"
            text += "<text x=\"\(place + 24)\" y=\"\(Int(Self.height) - 8)\">\(HTMLText.escaped(line.name))</text>\n"
            position += 44 + 8 * Double(line.name.count)
        }
        return text
    }

    /// At most `pointsMax` points; of those that stand for one, the highest is kept, so that no peak is lost.
    static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        guard points.count > pointsMax else { return points }
        let size = (points.count + pointsMax - 1) / pointsMax
        return stride(from: 0, to: points.count, by: size).compactMap { start in
            points[start..<min(start + size, points.count)].max { $0.y < $1.y }
        }
    }

    /// Round numbers from 0 to at least `high`, four to six of them.
    static func ticks(upTo high: Double) -> [Double] {
        guard high.isFinite, high > 0 else { return [0, 1] }
        var step = 1.0
        while step * 5 < high { step *= 10 }
        while step * 0.5 > high { step /= 10 }
        for finer in [0.1, 0.2, 0.5, 1] where step * finer * 5 >= high {
            step *= finer
            break
        }
        return (0...Int((high / step).rounded(.up))).map { Double($0) * step }
    }
}

/// Text within markup.
enum HTMLText {
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            default: if scalar.value >= 32 { result.unicodeScalars.append(scalar) } else { result += "." }
            }
        }
        return result
    }
}
