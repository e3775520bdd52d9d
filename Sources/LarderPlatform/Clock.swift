// What time it is. A protocol, so that tests move the time instead of waiting for it.

import Glibc

/// Milliseconds, as a difference or since the Unix epoch.
@usableFromInline package typealias Milliseconds = Int64

/// The two clocks that the server needs.
package protocol Clock: Sendable {
    /// Milliseconds since the Unix epoch. May jump when somebody sets the clock.
    func wall() -> Milliseconds

    /// Nanoseconds since the machine started, suspension included. Never goes back.
    func elapsed() -> Int64
}

/// The machine's clocks.
package struct SystemClock: Clock {
    package init() {}

    package func wall() -> Milliseconds {
        let time = Self.read(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    package func elapsed() -> Int64 {
        let time = Self.read(CLOCK_BOOTTIME)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }
}
