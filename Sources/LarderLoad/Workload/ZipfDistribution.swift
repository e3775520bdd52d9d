// Ranks by Zipf's law: rank k is drawn in proportion to 1 / k^exponent.
//
// No table, so a thousand million keys cost what a hundred do.
// Source: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions",
// ACM TOMACS 6(3), 1996.

import LarderPlatform

/// Draws ranks 1 to `count`.
package struct ZipfDistribution: Sendable {
    package let count: UInt64
    package let exponent: Double
    private let integralFirst: Double
    private let integralLast: Double
    private let threshold: Double

    /// - Parameter exponent: Above 0; 0.99 is what caches are usually tested with.
    package init(count: UInt64, exponent: Double) {
        precondition(count >= 1 && exponent > 0 && exponent.isFinite, "no such distribution")
        self.count = count
        self.exponent = exponent
        integralFirst = Self.integral(1.5, exponent) - 1
        integralLast = Self.integral(Double(count) + 0.5, exponent)
        threshold = 2 - Self.inverseIntegral(Self.integral(2.5, exponent) - Self.density(2, exponent), exponent)
    }

    /// The next rank. Expected number of rounds: below 1.2 for every exponent and count.
    package func sample(_ random: inout RandomStream) -> UInt64 {
        while true {
            let drawn = integralLast + random.nextUnit() * (integralFirst - integralLast)
            let position = Self.inverseIntegral(drawn, exponent)
            let rank = min(max((position + 0.5).rounded(.down), 1), Double(count))
            if rank - position <= threshold || drawn >= Self.integral(rank + 0.5, exponent) - Self.density(rank, exponent) {
                return UInt64(rank)
            }
        }
    }

    private static func density(_ x: Double, _ exponent: Double) -> Double { Mathematics.exp(-exponent * Mathematics.log(x)) }

    /// The integral of the density from 1 to `x`, written so that it is right at exponent 1 too.
    private static func integral(_ x: Double, _ exponent: Double) -> Double {
        let logarithm = Mathematics.log(x)
        return growth((1 - exponent) * logarithm) * logarithm
    }

    private static func inverseIntegral(_ y: Double, _ exponent: Double) -> Double {
        let scaled = max(y * (1 - exponent), -1)
        return Mathematics.exp(decline(scaled) * y)
    }

    /// (exp(x) - 1) / x
    private static func growth(_ x: Double) -> Double {
        abs(x) > 1e-8 ? Mathematics.expm1(x) / x : 1 + x / 2 * (1 + x / 3)
    }

    /// log(1 + x) / x
    private static func decline(_ x: Double) -> Double {
        abs(x) > 1e-8 ? Mathematics.log1p(x) / x : 1 - x * (0.5 - x / 3)
    }
}
