// How fast something may be written. Asks no clock and never waits: it says how long to.
//
// Source: the token bucket of J. Turner, "New Directions in Communications", 1986.

/// So many bytes a second, with a burst of a tenth of a second.
struct TokenBucket: Sendable {
    private let bytesPerSecond: Int64
    private let burst: Int64
    private var tokens: Int64
    private var last: Int64

    private static let nanosecondsPerSecond: Int64 = 1_000_000_000

    /// - Parameter bytesPerSecond: 0 means without limit.
    init(bytesPerSecond: Int, now: Int64) {
        self.bytesPerSecond = Int64(bytesPerSecond)
        burst = max(Int64(bytesPerSecond) / 10, 1)
        tokens = burst
        last = now
    }

    /// Takes `bytes`.
    ///
    /// - Returns: How many nanoseconds to wait before the next bytes are written.
    mutating func take(_ bytes: Int, now: Int64) -> Int64 {
        guard bytesPerSecond > 0 else { return 0 }
        // A second is enough to fill the bucket, so the product stays far below 64 bits.
        let elapsed = min(max(now - last, 0), Self.nanosecondsPerSecond)
        last = now
        tokens = min(tokens + elapsed * bytesPerSecond / Self.nanosecondsPerSecond, burst) - Int64(bytes)
        return tokens >= 0 ? 0 : Int64(Double(-tokens) / Double(bytesPerSecond) * Double(Self.nanosecondsPerSecond))
    }
}
