// When requests are to be sent. Knows no clock and no socket: a stalled server does not change it, and that is the point.
//
// Source: G. Tene, "How NOT to Measure Latency" (coordinated omission), and his wrk2.

/// The moments of an open loop: request `n` of a thread is due at `start + n / rate`.
package struct Schedule: Equatable, Sendable {
    /// Nothing is due later than so long after the start: a hundred years and more.
    package static let nanosecondsMax: Int64 = 4_000_000_000_000_000_000

    /// Requests a second at most: what no generator comes near, and what keeps two of them nanoseconds apart.
    package static let rateMax = 100_000_000.0

    /// Nanoseconds.
    package let start: Int64
    /// Requests a second.
    package let rate: Double
    /// How many threads share the rate, and which of them this is: their requests are interleaved evenly.
    package let threads: Int
    package let thread: Int

    package init(start: Int64, rate: Double, threads: Int = 1, thread: Int = 0) {
        precondition(rate > 0 && rate <= Self.rateMax && threads >= 1 && (0..<threads).contains(thread), "no such schedule")
        self.start = start
        self.rate = rate
        self.threads = threads
        self.thread = thread
    }

    /// When request `number` of this thread is due. Exact to the nanosecond for as long as 2^53 requests last.
    package func due(_ number: Int) -> Int64 {
        let position = Double(number) * Double(threads) + Double(thread)
        // Whole seconds apart from the rest, so that the digits of a long run are not lost in a floating-point number.
        let whole = (position / rate).rounded(.down)
        guard whole < Double(Self.nanosecondsMax / 1_000_000_000) else { return start + Self.nanosecondsMax }
        let rest = (position - whole * rate) / rate
        return start + Int64(whole) * 1_000_000_000 + Int64((rest * 1e9).rounded())
    }

    /// How many requests of this thread are due at `moment` or before: no more work for many than for few.
    package func count(until moment: Int64) -> Int {
        guard moment >= start else { return 0 }
        var count = Int(max(0, (Double(moment - start) / 1e9 * rate - Double(thread)) / Double(threads)))
        // Rounding puts the estimate at most a few off.
        while due(count) <= moment { count += 1 }
        while count > 0, due(count - 1) > moment { count -= 1 }
        return count
    }
}
