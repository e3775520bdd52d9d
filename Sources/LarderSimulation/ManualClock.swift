// A clock that stands still until a test moves it.

import LarderPlatform
import Synchronization

/// Wall clock and elapsed time, moved by hand.
package final class ManualClock: Clock {
    private let times: Mutex<(wall: Milliseconds, elapsed: Int64)>

    /// - Parameter wall: Unix milliseconds.
    package init(wall: Milliseconds = 1_767_225_600_000, elapsed: Int64 = 1_000_000_000) {
        times = Mutex((wall, elapsed))
    }

    package func wall() -> Milliseconds { times.withLock { $0.wall } }
    package func elapsed() -> Int64 { times.withLock { $0.elapsed } }

    /// Lets time pass.
    package func advance(milliseconds: Milliseconds) { advance(nanoseconds: milliseconds * 1_000_000) }

    /// Lets time pass; the wall clock shows its whole milliseconds.
    package func advance(nanoseconds: Int64) {
        times.withLock {
            $0.wall += ($0.elapsed + nanoseconds) / 1_000_000 - $0.elapsed / 1_000_000
            $0.elapsed += nanoseconds
        }
    }

    /// Somebody sets the wall clock; elapsed time does not notice.
    package func setWall(_ wall: Milliseconds) {
        times.withLock { $0.wall = wall }
    }
}
