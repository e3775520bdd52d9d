// The functions of real numbers that the standard library leaves to libm.

import Glibc

/// Logarithm and exponential of a `Double`.
package enum Mathematics {
    /// The natural logarithm.
    package static func log(_ value: Double) -> Double { Glibc.log(value) }
    /// log(1 + value), exact for small values too.
    package static func log1p(_ value: Double) -> Double { Glibc.log1p(value) }
    package static func exp(_ value: Double) -> Double { Glibc.exp(value) }
    /// exp(value) - 1, exact for small values too.
    package static func expm1(_ value: Double) -> Double { Glibc.expm1(value) }
}
