// Which key of the key space the next request is about.

/// How keys are drawn.
package enum KeyPopularity: Equatable, Sendable, CustomStringConvertible {
    case uniform
    case zipf(exponent: Double)

    /// `uniform`, `zipf` (exponent 0.99) or `zipf:EXPONENT` with an exponent above 0 and at most 10.
    package init?(_ text: String) {
        if text == "uniform" {
            self = .uniform
        } else if text == "zipf" {
            self = .zipf(exponent: 0.99)
        } else if text.hasPrefix("zipf:"), let exponent = Double(text.dropFirst(5)), exponent > 0, exponent <= 10 {
            self = .zipf(exponent: exponent)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .uniform: "uniform"
        case .zipf(let exponent): "zipf:\(exponent)"
        }
    }
}

/// Draws indexes of keys, 0 up to `count`.
package struct KeyChoice: Sendable {
    package let count: UInt64
    private let zipf: ZipfDistribution?
    /// Spreads the ranks: neighbours in popularity are not neighbours in the key space, and so not in a server's memory
    /// that was filled in order.
    private let spread: UInt64

    package init(_ popularity: KeyPopularity, count: UInt64) {
        precondition(count >= 1 && count <= UInt64(UInt32.max), "key space out of range")
        self.count = count
        switch popularity {
        case .uniform: zipf = nil
        case .zipf(let exponent): zipf = ZipfDistribution(count: count, exponent: exponent)
        }
        spread = Self.spread(count)
    }

    package func next(_ random: inout RandomStream) -> UInt64 {
        guard let zipf else { return random.next(below: count) }
        return index(rank: zipf.sample(&random))
    }

    /// The key that has the given rank, 1 being the most popular. One key for each rank.
    package func index(rank: UInt64) -> UInt64 { (rank &- 1) &* spread % count }

    /// A number near the golden section of `count` that has no divisor in common with it. Below 2^32, so that the product
    /// with a rank does not overflow.
    private static func spread(_ count: UInt64) -> UInt64 {
        var candidate = max(1, UInt64(Double(count) * 0.618_033_988_749_895))
        while greatestCommonDivisor(candidate, count) != 1 { candidate += 1 }
        return candidate
    }

    private static func greatestCommonDivisor(_ first: UInt64, _ second: UInt64) -> UInt64 {
        var (first, second) = (first, second)
        while second != 0 { (first, second) = (second, first % second) }
        return first
    }
}
