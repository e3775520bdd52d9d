// Sizes and lifetimes as distributions: a number, an even spread, a long tail, or a weighted mix of these.

import LarderPlatform

/// A distribution of whole numbers that are not negative.
package struct Distribution: Equatable, Sendable {
    enum Shape: Equatable, Sendable {
        case constant(Int64)
        case uniform(Int64, Int64)
        /// The logarithm is normally distributed. What is above `limit` is drawn again.
        case lognormal(median: Double, sigma: Double, limit: Int64)
    }

    struct Part: Equatable, Sendable {
        var shape: Shape
        /// Of all weights up to and including this part, as a share of 2^32.
        var cumulative: UInt64
    }

    let parts: [Part]
    /// No sample is larger.
    package let maximum: Int64
    /// The text that it was made of.
    package let text: String

    package static func constant(_ value: Int64) -> Distribution {
        Distribution(parts: [Part(shape: .constant(value), cumulative: 1 << 32)], maximum: value, text: "\(value)")
    }

    private init(parts: [Part], maximum: Int64, text: String) {
        self.parts = parts
        self.maximum = maximum
        self.text = text
    }

    /// The distribution that `text` spells: parts with commas between them, each `N`, `uniform:N-N` or
    /// `lognormal:MEDIAN/SIGMA` (`/LIMIT` may follow), and each with `:WEIGHT` behind it where there are several.
    ///
    /// - Parameters:
    ///   - limit: The largest number that may come of it.
    ///   - number: Reads a number with its unit.
    package init?(_ text: String, limit: Int64, number: (Substring) -> Int64?) {
        let texts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard !texts.isEmpty, texts.count <= 64 else { return nil }
        var shapes: [(shape: Shape, weight: Double)] = []
        for part in texts {
            var fields = part.split(separator: ":", omittingEmptySubsequences: false)
            var weight = 1.0
            let named = fields[0] == "uniform" || fields[0] == "lognormal"
            if fields.count == (named ? 3 : 2), let last = fields.popLast() {
                guard let value = Double(last), value > 0, value.isFinite else { return nil }
                weight = value
            }
            guard fields.count == (named ? 2 : 1) else { return nil }
            guard let shape = Self.shape(fields, limit: limit, number: number) else { return nil }
            shapes.append((shape, weight))
        }
        let total = shapes.reduce(0) { $0 + $1.weight }
        guard total.isFinite else { return nil }
        var sum = 0.0
        parts = shapes.map { shape, weight in
            sum += weight
            return Part(shape: shape, cumulative: UInt64((sum / total * 0x1p32).rounded()))
        }
        maximum = shapes.reduce(0) { max($0, Self.maximum($1.shape)) }
        guard maximum <= limit else { return nil }
        self.text = text
    }

    private static func shape(_ fields: [Substring], limit: Int64, number: (Substring) -> Int64?) -> Shape? {
        switch fields[0] {
        case "uniform":
            let ends = fields[1].split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2, let low = number(ends[0]), let high = number(ends[1]), low >= 0, low <= high else { return nil }
            return .uniform(low, high)
        case "lognormal":
            let values = fields[1].split(separator: "/", omittingEmptySubsequences: false)
            guard (2...3).contains(values.count), let median = number(values[0]), median >= 1 else { return nil }
            guard let sigma = Double(values[1]), sigma > 0, sigma <= 10 else { return nil }
            let top = values.count == 3 ? number(values[2]) : limit
            // The median at least is always allowed, so drawing again ends.
            guard let top, top >= median else { return nil }
            return .lognormal(median: Double(median), sigma: sigma, limit: top)
        default:
            guard let value = number(fields[0]), value >= 0 else { return nil }
            return .constant(value)
        }
    }

    private static func maximum(_ shape: Shape) -> Int64 {
        switch shape {
        case .constant(let value): value
        case .uniform(_, let high): high
        case .lognormal(_, _, let limit): limit
        }
    }

    package func sample(_ random: inout RandomStream) -> Int64 {
        if parts.count == 1 { return Self.sample(parts[0].shape, &random) }
        let choice = random.next() >> 32
        // Weights are rounded, so the last part takes what is left.
        for part in parts where choice < part.cumulative { return Self.sample(part.shape, &random) }
        return Self.sample(parts[parts.count - 1].shape, &random)
    }

    private static func sample(_ shape: Shape, _ random: inout RandomStream) -> Int64 {
        switch shape {
        case .constant(let value): return value
        case .uniform(let low, let high): return low + Int64(random.next(below: UInt64(high - low) + 1))
        case .lognormal(let median, let sigma, let limit):
            while true {
                let value = median * Mathematics.exp(sigma * gaussian(&random))
                if value < Double(limit) + 0.5 { return Int64(value.rounded()) }
            }
        }
    }

    /// The polar method: G. Marsaglia, T. A. Bray, "A Convenient Method for Generating Normal Variables", 1964.
    private static func gaussian(_ random: inout RandomStream) -> Double {
        while true {
            let x = 2 * random.nextUnit() - 1
            let y = 2 * random.nextUnit() - 1
            let square = x * x + y * y
            if square > 0, square < 1 { return x * (-2 * Mathematics.log(square) / square).squareRoot() }
        }
    }
}
