// Higher and higher rates until the server does not hold them: where the knee is. Knows no socket.

/// The steps of a ramp.
package struct Ramp: Equatable, Sendable {
    /// Requests a second of the first step.
    package var from: Double
    /// How much more each step asks for than the one before.
    package var factor: Double
    /// A step holds when 99 % of its requests are answered within this, in nanoseconds.
    package var latencyLimit: UInt64
    package var stepsMax: Int

    package static let answeredShareMin = 0.98

    package init(from: Double, factor: Double, latencyLimit: UInt64, stepsMax: Int = 64) {
        self.from = from
        self.factor = factor
        self.latencyLimit = latencyLimit
        self.stepsMax = stepsMax
    }

    /// The rate of step `number`, 0 being the first; nil when there is no such step, or nobody could send so much.
    package func rate(_ number: Int) -> Double? {
        guard number < stepsMax else { return nil }
        let rate = (0..<number).reduce(from) { rate, _ in rate * factor }
        return rate <= Schedule.rateMax ? rate : nil
    }

    /// Whether a step held: what was asked for was answered, in time, and without an error.
    package func holds(offered: Double, answered: Double, p99: UInt64, errors: Int) -> Bool {
        errors == 0 && p99 <= latencyLimit && answered >= offered * Self.answeredShareMin
    }
}
